//! Tells when the state document may have changed: inotify on its directory, and a look now and then for file systems and
//! symbolic links that inotify does not see through.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

const POLL: Duration = Duration::from_secs(5);
/// A writer that does not rename is given this long to finish; events that follow each other become one.
const SETTLE: Duration = Duration::from_millis(50);

/// Watches one file, whether it exists or not.
pub(crate) struct Watch {
    path: PathBuf,
    seen: Option<Stamp>,
    /// A change that is being given time to settle.
    due: Option<Instant>,
    poll: Interval,
    events: mpsc::Receiver<()>,
    /// Kept for its thread; `None` where inotify is not to be had.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Starts; a change after this call is not missed.
    pub(crate) fn new(path: &Path) -> Self {
        let (sender, events) = mpsc::channel(1);
        let watcher = watch_directory(path, sender)
            .inspect_err(|error| tracing::info!("{} is looked at every {POLL:?}: {error}", path.display()))
            .ok();
        let mut poll = interval_at(Instant::now() + POLL, POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { path: path.to_owned(), seen: stamp(path), due: None, poll, events, _watcher: watcher }
    }

    /// Returns when the file may have changed since the last call. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        while self.due.is_none() {
            let event = tokio::select! {
                Some(()) = self.events.recv() => true,
                _ = self.poll.tick() => false,
            };
            if event || stamp(&self.path) != self.seen {
                self.due = Some(Instant::now() + SETTLE);
            }
        }
        if let Some(due) = self.due {
            sleep_until(due).await;
        }
        self.due = None;
        while self.events.try_recv().is_ok() {}
        self.seen = stamp(&self.path);
    }
}

/// The directory, not the file: a file that is renamed over takes its watch with it.
fn watch_directory(path: &Path, changed: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let name = path.file_name().unwrap_or_default().to_owned();
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let Ok(event) = event else { return };
        let ours = event.need_rescan() || event.paths.iter().any(|path| path.file_name() == Some(&name));
        if ours && is_change(event.kind) {
            // A full channel holds an event already, and one is enough.
            let _ = changed.try_send(());
        }
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Reading the document is an event too, and must not lead to reading it again.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    Some(Stamp { inode: metadata.ino(), size: metadata.size(), modified })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_told(watch: &mut Watch) -> bool {
        tokio::time::timeout(Duration::from_secs(4), watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn a_file_written_renamed_over_and_removed_is_told_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        let mut watch = Watch::new(&path);

        std::fs::write(&path, "1").unwrap();
        assert!(is_told(&mut watch).await);
        for text in ["2", "3"] {
            std::fs::write(directory.path().join("state.json.tmp"), text).unwrap();
            std::fs::rename(directory.path().join("state.json.tmp"), &path).unwrap();
            assert!(is_told(&mut watch).await);
        }
        std::fs::remove_file(&path).unwrap();
        assert!(is_told(&mut watch).await);
    }

    #[tokio::test]
    async fn a_read_and_a_neighbour_are_no_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        std::fs::write(&path, "1").unwrap();
        let mut watch = Watch::new(&path);

        std::fs::read(&path).unwrap();
        std::fs::write(directory.path().join("state.json.lock"), "").unwrap();

        assert!(tokio::time::timeout(Duration::from_millis(300), watch.changed()).await.is_err());
    }

    #[tokio::test]
    async fn without_inotify_the_next_look_tells() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("not-yet/state.json");
        let mut watch = Watch::new(&path);
        watch.poll = tokio::time::interval(Duration::from_millis(20));

        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "1").unwrap();

        assert!(is_told(&mut watch).await);
    }
}
