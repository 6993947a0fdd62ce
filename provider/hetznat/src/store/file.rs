//! The document as a file: replaced as a whole, never written in place.
//!
//! A reader without the lock sees the old document or the new one. Writers hold an advisory lock on a file of its own,
//! because a rename gives the document a new inode and with it a new lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use contract::MAX_DOCUMENT_BYTES;
use sha2::{Digest as _, Sha256};

use super::{Loaded, SaveError, Store, StoreError, Version};

/// A write takes milliseconds; whoever holds the lock for this long is stuck.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
const LOCK_POLL: Duration = Duration::from_millis(10);

/// A document in a file.
#[derive(Debug, Clone)]
pub(crate) struct FileStore {
    path: PathBuf,
    lock_patience: Duration,
}

impl FileStore {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), lock_patience: LOCK_PATIENCE }
    }

    fn load_blocking(&self) -> Result<Loaded, StoreError> {
        let bytes = self.read(&self.resolve()?)?;
        Ok(Loaded { version: version(bytes.as_deref()), bytes })
    }

    fn save_blocking(&self, bytes: &[u8], expected: &Version) -> Result<(), SaveError> {
        let target = self.resolve()?;
        let _lock = self.lock(&target)?;
        if version(self.read(&target)?.as_deref()) != *expected {
            return Err(SaveError::Conflict);
        }
        Ok(self.replace(&target, bytes)?)
    }

    /// The file behind symbolic links, so that a rename replaces it and not the link. It need not exist; its directory
    /// must.
    fn resolve(&self) -> Result<PathBuf, StoreError> {
        // As many links as the kernel follows (path_resolution(7)).
        const LINKS: usize = 40;
        let mut path = self.path.clone();
        for _ in 0..LINKS {
            let Ok(link) = fs::read_link(&path) else { break };
            path = directory_of(&path).join(link);
        }
        let directory = directory_of(&path);
        let real = directory.canonicalize().map_err(|error| {
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
                return StoreError::NoDirectory { path: self.path.clone(), directory: directory.to_owned() };
            }
            self.error("find its directory", directory, error)
        })?;
        let name = path.file_name().ok_or_else(|| StoreError::NotAFile { path: self.path.clone() })?;
        Ok(real.join(name))
    }

    fn read(&self, target: &Path) -> Result<Option<Vec<u8>>, StoreError> {
        // Looked at before it is opened: opening a FIFO would wait for its writer.
        match fs::metadata(target) {
            Ok(metadata) if !metadata.is_file() => return Err(StoreError::NotAFile { path: self.path.clone() }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error("look at it", target, error)),
        }
        let file = match File::open(target) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error("open it", target, error)),
        };
        // One byte more than a document may have is enough for the parser to refuse it.
        let limit = u64::try_from(MAX_DOCUMENT_BYTES).map_or(u64::MAX, |most| most + 1);
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).map_err(|error| self.error("read it", target, error))?;
        Ok(Some(bytes))
    }

    fn lock(&self, target: &Path) -> Result<File, StoreError> {
        let mut path = target.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        // The directory may belong to the daemon's user: root must not be led through a link of theirs.
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(&path).map_err(|error| self.error("open its lock file", &path, error))?;
        self.give_to_owner(&file, target)?;

        let deadline = Instant::now() + self.lock_patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_POLL),
                Err(TryLockError::WouldBlock) => {
                    let secs = self.lock_patience.as_secs();
                    return Err(StoreError::Locked { path: self.path.clone(), lock: path, secs });
                }
                Err(TryLockError::Error(error)) => return Err(self.error("lock it", &path, error)),
            }
        }
    }

    /// Crash-safe: the new content is on disk before it gets the name, and the name before anybody is told.
    fn replace(&self, target: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let directory = directory_of(target);
        // `tempfile` creates with mode 0600: the document may hold the gateway's private key.
        let mut temporary = tempfile::Builder::new()
            .prefix(".hetznat-state-")
            .suffix(".tmp")
            .tempfile_in(directory)
            .map_err(|error| self.error("create a file beside it", directory, error))?;
        temporary.write_all(bytes).map_err(|error| self.error("write it", target, error))?;
        self.give_to_owner(temporary.as_file(), target)?;
        temporary.as_file().sync_all().map_err(|error| self.error("flush it to disk", target, error))?;
        temporary.persist(target).map_err(|error| self.error("replace it", directory, error.error))?;
        let flushed = File::open(directory).and_then(|directory| directory.sync_all());
        flushed.map_err(|error| self.error("flush its directory to disk", directory, error))
    }

    /// What root writes must stay readable for the daemon's user: the owner of the file so far, or else of its
    /// directory.
    fn give_to_owner(&self, file: &File, target: &Path) -> Result<(), StoreError> {
        let model = fs::metadata(target).or_else(|_| fs::metadata(directory_of(target)));
        let wanted = model.map_err(|error| self.error("look at its directory", target, error))?;
        let actual = file.metadata().map_err(|error| self.error("look at it", target, error))?;
        if (actual.uid(), actual.gid()) == (wanted.uid(), wanted.gid()) {
            return Ok(());
        }
        match fchown(file, Some(wanted.uid()), Some(wanted.gid())) {
            // Only root may give files away; everybody else keeps what they write.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            Err(error) => Err(self.error("set its owner", target, error)),
            Ok(()) => Ok(()),
        }
    }

    fn error(&self, action: &'static str, on: &Path, error: io::Error) -> StoreError {
        let path = self.path.clone();
        if error.kind() == io::ErrorKind::PermissionDenied {
            return StoreError::PermissionDenied { path, on: on.to_owned() };
        }
        StoreError::Io { path, action, error: Arc::new(error) }
    }
}

impl Store for FileStore {
    async fn load(&self) -> Result<Loaded, StoreError> {
        let store = self.clone();
        blocking(move || store.load_blocking()).await
    }

    async fn save(&self, bytes: Vec<u8>, expected: Version) -> Result<(), SaveError> {
        let store = self.clone();
        blocking(move || store.save_blocking(&bytes, &expected)).await
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }
}

impl From<StoreError> for SaveError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    tokio::task::spawn_blocking(work).await.expect("file operations return errors and do not panic")
}

fn version(bytes: Option<&[u8]>) -> Version {
    Version(bytes.map(|bytes| format!("{:x}", Sha256::digest(bytes))))
}

/// `Path::parent` says "" where the shell says ".".
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_missing_file_is_an_empty_store() {
        let home = tempfile::tempdir().unwrap();

        let loaded = FileStore::new(home.path().join("state.json")).load_blocking().unwrap();

        assert!(loaded.bytes.is_none());
    }

    #[test]
    fn what_is_saved_is_loaded_and_private() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state.json");
        let store = FileStore::new(&path);

        save(&store, b"one").unwrap();
        save(&store, b"two").unwrap();

        assert_eq!(store.load_blocking().unwrap().bytes.as_deref(), Some(&b"two"[..]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(names(home.path()), ["state.json", "state.json.lock"]);
    }

    #[test]
    fn a_save_that_expects_something_else_is_a_conflict_and_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let store = FileStore::new(home.path().join("state.json"));
        let empty = store.load_blocking().unwrap().version;
        save(&store, b"theirs").unwrap();

        let outcome = store.save_blocking(b"ours", &empty);

        assert!(matches!(outcome, Err(SaveError::Conflict)));
        assert_eq!(store.load_blocking().unwrap().bytes.as_deref(), Some(&b"theirs"[..]));
    }

    #[test]
    fn what_a_crash_left_behind_is_harmless() {
        let home = tempfile::tempdir().unwrap();
        let store = FileStore::new(home.path().join("state.json"));
        save(&store, b"good").unwrap();
        fs::write(home.path().join(".hetznat-state-abc.tmp"), "half a docu").unwrap();

        save(&store, b"better").unwrap();

        assert_eq!(store.load_blocking().unwrap().bytes.as_deref(), Some(&b"better"[..]));
    }

    #[test]
    fn a_link_stays_a_link_and_its_target_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("real")).unwrap();
        let link = home.path().join("state.json");
        symlink("real/document.json", &link).unwrap();
        let store = FileStore::new(&link);

        save(&store, b"first").unwrap();
        save(&store, b"second").unwrap();

        assert!(link.is_symlink());
        assert_eq!(fs::read(home.path().join("real/document.json")).unwrap(), b"second");
    }

    #[test]
    fn root_is_not_led_through_a_link_in_place_of_the_lock_file() {
        let home = tempfile::tempdir().unwrap();
        let victim = home.path().join("victim");
        symlink(&victim, home.path().join("state.json.lock")).unwrap();

        let outcome = save(&FileStore::new(home.path().join("state.json")), b"x");

        assert!(outcome.is_err() && !victim.exists());
    }

    #[test]
    fn the_owner_of_the_directory_can_read_what_root_wrote() {
        if !is_root() {
            return; // Only root can give files away, so there is nothing to see.
        }
        let home = tempfile::tempdir().unwrap();
        fchown(File::open(home.path()).unwrap(), Some(4711), Some(4712)).unwrap();
        let path = home.path().join("state.json");

        save(&FileStore::new(&path), b"x").unwrap();

        for written in [path, home.path().join("state.json.lock")] {
            let metadata = fs::metadata(&written).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (4711, 4712), "{}", written.display());
        }
    }

    #[test]
    fn the_owner_of_the_file_is_kept() {
        if !is_root() {
            return; // Only root can give files away, so there is nothing to see.
        }
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state.json");
        let store = FileStore::new(&path);
        save(&store, b"x").unwrap();
        fchown(File::open(&path).unwrap(), Some(4711), Some(4712)).unwrap();

        save(&store, b"y").unwrap();

        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (4711, 4712));
    }

    #[test]
    fn a_lock_held_too_long_is_reported() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state.json");
        let other = FileStore::new(&path);
        let target = other.resolve().unwrap();
        let _held = other.lock(&target).unwrap();

        let store = FileStore { path, lock_patience: Duration::ZERO };

        assert!(matches!(store.lock(&target), Err(StoreError::Locked { .. })));
    }

    #[test]
    fn errors_say_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let message = |path: &str| {
            let path = home.path().join(path);
            let error = FileStore::new(path).load_blocking().err().unwrap().to_string();
            error.replace(home.path().to_str().unwrap(), "/home")
        };
        fs::create_dir(home.path().join("directory")).unwrap();

        insta::assert_snapshot!(
            [message("missing/state.json"), message("directory"), message("directory/..")].join("\n")
        );
    }

    #[test]
    fn permission_denied_names_what_and_who() {
        let error = FileStore::new("/srv/state.json").error(
            "open it",
            Path::new("/srv/state.json"),
            io::ErrorKind::PermissionDenied.into(),
        );

        insta::assert_snapshot!(error);
    }

    fn save(store: &FileStore, bytes: &[u8]) -> Result<(), SaveError> {
        let version = store.load_blocking().unwrap().version;
        store.save_blocking(bytes, &version)
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn is_root() -> bool {
        fs::metadata("/proc/self").unwrap().uid() == 0
    }
}
