//! Key files as `wg` has them: one line of base64. The daemon's private key never leaves this machine if it was made here.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use contract::{PrivateKey, PublicKey};
use zeroize::Zeroizing;

use crate::error::Error;

/// Far more than a key and its newline; what is longer is some other file.
const LONGEST_FILE_BYTES: u64 = 4096;

/// A new private key from the kernel's random source.
///
/// # Errors
/// [`Error::Internal`] if there is none.
pub(crate) fn generate() -> Result<PrivateKey, Error> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut()).map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
    Ok(PrivateKey::from_random(*random))
}

/// Writes a new private key to a file that must not exist; its public half.
///
/// # Errors
/// [`Error::KeyFileExists`], [`Error::Unwritable`]. A file that could not be written whole is removed.
pub(crate) fn generate_file(path: &Path) -> Result<PublicKey, Error> {
    let key = generate()?;
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened.map_err(|source| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            Error::KeyFileExists(path.to_owned())
        } else {
            Error::Unwritable { path: path.to_owned(), source }
        }
    })?;
    let written = file.write_all(line(&key).as_bytes()).and_then(|()| file.sync_all());
    match written {
        Ok(()) => Ok(key.public_key()),
        Err(source) => {
            // Half a key is worth nothing; whether it can be removed changes nothing about the error.
            let _ = std::fs::remove_file(path);
            Err(Error::Unwritable { path: path.to_owned(), source })
        }
    }
}

/// The key as a line of text.
pub(crate) fn line(key: &PrivateKey) -> Zeroizing<String> {
    let text = key.to_base64();
    // Exact from the start: a string that grows leaves copies behind.
    let mut line = Zeroizing::new(String::with_capacity(text.len() + 1));
    line.push_str(&text);
    line.push('\n');
    line
}

/// Reads a private key from a file.
///
/// # Errors
/// [`Error::Unreadable`], [`Error::PrivateKey`].
pub(crate) fn read_file(path: &Path) -> Result<PrivateKey, Error> {
    let unreadable = |source| Error::Unreadable {
        what: "the private key",
        path: path.to_owned(),
        hint: "check the path and its permissions",
        source,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!("private key {} is readable by others; run chmod 600 on it", path.display());
    }
    let text = read_text(file).map_err(unreadable)?;
    parse(&text, path.display().to_string())
}

/// Reads a private key from standard input.
///
/// # Errors
/// [`Error::Unreadable`], [`Error::PrivateKey`].
pub(crate) fn read_stdin() -> Result<PrivateKey, Error> {
    let text = read_text(io::stdin().lock()).map_err(|source| Error::Unreadable {
        what: "the private key from",
        path: "standard input".into(),
        hint: "pipe a private key in, or name its file",
        source,
    })?;
    parse(&text, "on standard input".to_owned())
}

/// Bytes that are no UTF-8 become characters that are no base64, so the key's own error tells.
fn read_text(reader: impl io::Read) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(64));
    reader.take(LONGEST_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}

fn parse(text: &str, origin: String) -> Result<PrivateKey, Error> {
    text.trim().parse().map_err(|source| Error::PrivateKey { origin, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_reads_back_and_belongs_to_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("private.key");

        let public_key = generate_file(&path).unwrap();

        assert_eq!(read_file(&path).unwrap().public_key(), public_key);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_existing_file_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("private.key");
        std::fs::write(&path, "precious").unwrap();

        assert!(matches!(generate_file(&path), Err(Error::KeyFileExists(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn an_endless_or_binary_file_is_a_bad_key() {
        assert!(matches!(read_file(Path::new("/dev/zero")), Err(Error::PrivateKey { .. })));
        assert!(matches!(read_file(Path::new("/proc/self/exe")), Err(Error::PrivateKey { .. })));
    }
}
