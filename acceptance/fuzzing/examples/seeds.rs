//! Writes the inputs that fuzzing begins with: `cargo run -p fuzzing --example seeds -- fuzz/corpus`.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let corpus = PathBuf::from(env::args_os().nth(1).unwrap_or_else(|| "fuzz/corpus".into()));
    for (target, run) in fuzzing::TARGETS {
        let directory = corpus.join(target);
        fs::create_dir_all(&directory)?;
        for (number, input) in (0..).zip(fuzzing::seeds::seeds(target)) {
            run(&input);
            fs::write(directory.join(format!("seed-{number:03}")), input)?;
        }
    }
    Ok(())
}
