//! The socket's file: made for us alone, taken over only from the dead.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The file of a bound socket, and its directory if it was made for it; dropping it removes both.
// Fields drop in this order: a directory can be removed once it is empty.
#[derive(Debug)]
pub(super) struct SocketFile {
    _file: File,
    _directory: Option<Directory>,
}

impl SocketFile {
    /// Binds a non-blocking listener with mode 0660. The file of a translator that is gone is replaced.
    ///
    /// # Errors
    /// [`Error::SocketInUse`], [`Error::Control`].
    pub(super) fn bind(path: &Path) -> Result<(Self, UnixListener), Error> {
        let failed = |source| Error::Control { path: path.to_owned(), source };
        remove_stale(path)?;
        let directory = Directory::make_for(path).map_err(failed)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        let file = File(path.to_owned());
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o660)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok((Self { _file: file, _directory: directory }, listener))
    }
}

#[derive(Debug)]
struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    /// /run is empty after a boot, and only systemd makes its directories there.
    fn make_for(path: &Path) -> io::Result<Option<Self>> {
        let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(None) };
        match std::fs::DirBuilder::new().mode(0o750).create(directory) {
            Ok(()) => Ok(Some(Self(directory.to_owned()))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Removes a socket on which nobody listens; anything that is no socket is somebody's file and stays.
fn remove_stale(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Control { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return Err(failed(io::Error::other("a file that is no socket is in its place"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(failed),
        Err(error) => Err(failed(error)),
        Ok(_) => Err(Error::SocketInUse(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_nothing_stays_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/control.sock");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        drop(UnixListener::bind(&path).unwrap());

        let (file, _listener) = SocketFile::bind(&path).unwrap();

        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        drop(file);
        assert!(!path.exists() && path.parent().unwrap().exists());
    }

    #[test]
    fn a_directory_made_for_the_socket_goes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/control.sock");

        drop(SocketFile::bind(&path).unwrap());

        assert!(!path.parent().unwrap().exists());
    }

    #[test]
    fn a_live_socket_is_an_error_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let _alive = SocketFile::bind(&path).unwrap();

        assert!(matches!(SocketFile::bind(&path), Err(Error::SocketInUse(_))));
        assert!(path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_never_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        std::fs::write(&path, "precious").unwrap();

        assert!(matches!(SocketFile::bind(&path), Err(Error::Control { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
