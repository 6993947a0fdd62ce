//! The lab's one directory: everything it writes lives there, and it goes away even when the lab is killed.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result};

/// After the lab was killed its hosts may still be writing while they die: then once more.
const GUARD: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$1" 2>/dev/null && exit
    sleep 0.5
done
"#;

/// A temporary directory with a guard: a process that removes it as soon as the pipe to the lab closes.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    guard: Child,
    /// Closing this end is the signal; the kernel closes it when the lab dies.
    alive: Option<ChildStdin>,
}

impl Directory {
    pub(crate) fn create() -> Result<Self> {
        let path = tempfile::Builder::new().prefix("hetznat-lab-").tempdir().context("temporary directory")?.keep();
        // A process group of its own: Ctrl-C in the terminal must not reach the guard.
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "lab-guard"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .context("sh, to guard the lab's directory")?;
        let alive = guard.stdin.take();
        Ok(Self { path, guard, alive })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A directory inside, made if it is not there.
    pub(crate) fn subdirectory(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(self.alive.take());
        let _ = self.guard.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_gone_when_the_lab_is() {
        let directory = Directory::create().unwrap();
        let inside = directory.subdirectory("pi").unwrap();
        fs::write(inside.join("log"), "text").unwrap();
        let path = directory.path().to_owned();

        drop(directory);

        assert!(!path.exists());
    }
}
