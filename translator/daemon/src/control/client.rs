//! The asking side: one question, one answer, and no waiting for ever.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Request, Response, TableRequest};
use crate::error::Error;
use crate::report::{BibReport, Nat64Report, Page, Report, SessionReport};

/// A translator that cannot answer within this time hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// A report has about 300 bytes for each peer.
const LONGEST_RESPONSE_BYTES: u64 = 64 << 20;

/// How a translator is, by the way it runs.
#[derive(Debug)]
pub(crate) enum Status {
    Gateway(Box<Report>),
    Nat64(Box<Nat64Report>),
}

/// Asks the translator on a control socket how it is.
///
/// # Errors
/// [`Error::NoAnswer`], [`Error::BadAnswer`].
pub(crate) fn status(socket: &Path) -> Result<Status, Error> {
    let response = answer(socket, &Request::Status {})?;
    if let Response::Status(report) = response {
        Ok(Status::Gateway(report))
    } else if let Response::Nat64Status(report) = response {
        Ok(Status::Nat64(report))
    } else {
        Err(unexpected(socket, response))
    }
}

/// Every mapping there is.
///
/// # Errors
/// [`Error::NoAnswer`], [`Error::BadAnswer`].
pub(crate) fn bib(socket: &Path) -> Result<Vec<BibReport>, Error> {
    all_pages(|skip| {
        let response = answer(socket, &Request::Table { request: TableRequest::ListBib { skip } })?;
        if let Response::Bib(page) = response { Ok(page) } else { Err(unexpected(socket, response)) }
    })
}

/// Every session there is.
///
/// # Errors
/// [`Error::NoAnswer`], [`Error::BadAnswer`].
pub(crate) fn sessions(socket: &Path) -> Result<Vec<SessionReport>, Error> {
    all_pages(|skip| {
        let response = answer(socket, &Request::Table { request: TableRequest::ListSessions { skip } })?;
        if let Response::Sessions(page) = response { Ok(page) } else { Err(unexpected(socket, response)) }
    })
}

/// Asks for a change; what was done.
///
/// # Errors
/// [`Error::Refused`], [`Error::NoAnswer`], [`Error::BadAnswer`].
pub(crate) fn change(socket: &Path, request: &Request) -> Result<String, Error> {
    let response = answer(socket, request)?;
    if let Response::Done(what) = response {
        Ok(what)
    } else if let Response::Refused(why) = response {
        Err(Error::Refused(why))
    } else {
        Err(unexpected(socket, response))
    }
}

fn all_pages<T>(mut page: impl FnMut(usize) -> Result<Page<T>, Error>) -> Result<Vec<T>, Error> {
    let mut entries = Vec::new();
    loop {
        let Page { entries: mut next, more } = page(entries.len())?;
        let is_last = !more || next.is_empty();
        entries.append(&mut next);
        if is_last {
            return Ok(entries);
        }
    }
}

fn unexpected(socket: &Path, response: Response) -> Error {
    let message = match response {
        Response::Error(message) | Response::Refused(message) => message,
        Response::Status(_)
        | Response::Nat64Status(_)
        | Response::Bib(_)
        | Response::Sessions(_)
        | Response::Done(_) => "it answers another question".to_owned(),
    };
    Error::BadAnswer { path: socket.to_owned(), message }
}

fn answer(socket: &Path, request: &Request) -> Result<Response, Error> {
    let line = ask(socket, request).map_err(|source| Error::NoAnswer { path: socket.to_owned(), source })?;
    serde_json::from_slice(&line)
        .map_err(|error| Error::BadAnswer { path: socket.to_owned(), message: error.to_string() })
}

fn ask(socket: &Path, request: &Request) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
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
