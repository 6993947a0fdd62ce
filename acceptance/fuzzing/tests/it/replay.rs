//! Replays what fuzzing has found: the committed corpora, and every input that once showed a mistake.

use std::fs;
use std::path::{Path, PathBuf};

use fuzzing::TARGETS;

/// What a corpus may be, so that it can be committed and replayed.
const MOST_FILES: usize = 200;
const LARGEST_BYTES: usize = 256 << 10;

fn inputs(kind: &str, target: &str) -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let directory = top.join("fuzz").join(kind).join(target);
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort_unstable();
    paths
}

#[track_caller]
fn replay(kind: &str, name: &str) -> Vec<PathBuf> {
    let (_, target) = TARGETS.into_iter().find(|(target, _)| *target == name).expect("a target of this name");
    let paths = inputs(kind, name);
    for path in &paths {
        // Shown if it panics: the input to look at.
        eprintln!("{}", path.display());
        target(&fs::read(path).unwrap());
    }
    paths
}

#[track_caller]
fn check(name: &str) {
    replay("crashes", name);
    let corpus = replay("corpus", name);

    assert!(!corpus.is_empty(), "{name} has a corpus");
    assert!(corpus.len() <= MOST_FILES, "{} files: run cargo fuzz cmin {name}", corpus.len());
    let bytes: usize = corpus.iter().map(|path| fs::read(path).unwrap().len()).sum();
    assert!(bytes <= LARGEST_BYTES, "{bytes} bytes: run cargo fuzz cmin {name}");
}

macro_rules! replays {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })+

        #[test]
        fn every_target_is_replayed() {
            assert_eq!(TARGETS.map(|(name, _)| name), [$(stringify!($name)),+]);
        }
    };
}

replays!(coalesce control dns_answer dns_query document fragments icmp_errors inside outside virtio);

#[test]
fn every_target_takes_whatever_its_seeds_say() {
    for (name, target) in TARGETS {
        fuzzing::seeds::seeds(name).iter().for_each(|seed| target(seed));
    }
}
