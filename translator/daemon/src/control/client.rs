//! The asking side: one question, one answer, and no waiting for ever.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Request, Response};
use crate::error::Error;
use crate::report::Report;

/// A translator that cannot answer within this time hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// A report has about 300 bytes for each peer.
const LONGEST_RESPONSE_BYTES: u64 = 64 << 20;

/// Asks the translator on a control socket how it is.
///
/// # Errors
/// [`Error::NoAnswer`], [`Error::BadAnswer`].
pub(crate) fn status(socket: &Path) -> Result<Report, Error> {
    let line = ask(socket, Request::Status {}).map_err(|source| Error::NoAnswer { path: socket.to_owned(), source })?;
    let bad = |message: String| Error::BadAnswer { path: socket.to_owned(), message };
    match serde_json::from_slice(&line) {
        Ok(Response::Status(report)) => Ok(*report),
        Ok(Response::Error(message)) => Err(bad(message)),
        Err(error) => Err(bad(error.to_string())),
    }
}

fn ask(socket: &Path, request: Request) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    let read = BufReader::new(stream.take(LONGEST_RESPONSE_BYTES)).read_until(b'\n', &mut answer);
    match read {
        // What the kernel says when the timeout strikes.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
        Err(error) => Err(error),
        Ok(_) => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn an_answer_of_another_kind_is_an_error() {
        for answer in ["", "\n", "nonsense\n", "{\"status\":{}}\n", "{\"error\":\"no\"}\n"] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("control.sock");
            let listener = UnixListener::bind(&path).unwrap();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                line
            });

            assert!(matches!(status(&path), Err(Error::BadAnswer { .. })), "{answer:?}");
            assert_eq!(server.join().unwrap(), "{\"command\":\"status\"}\n");
        }
    }

    #[test]
    fn nobody_there_is_said() {
        assert!(matches!(status(Path::new("/proc/no-such-socket")), Err(Error::NoAnswer { .. })));
    }
}
