//! How the demo speaks: titles with the time they came at, commands with where they ran and what they said.

use std::io::{self, Write as _};
use std::time::Instant;

use anyhow::{Result, ensure};
use lab::Host;

/// Speaks on standard output.
#[derive(Debug)]
pub(super) struct Teller {
    start: Instant,
}

impl Teller {
    pub(super) fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// The clock begins again: what came before was preparation.
    pub(super) fn restart(&mut self) {
        self.start = Instant::now();
    }

    pub(super) fn note(&self, text: &str) {
        self.text(&format!("{text} ..."));
    }

    pub(super) fn text(&self, text: &str) {
        // Nobody listens any more, for example because of `| head`: the demo goes on to its tear-down.
        let _ = writeln!(io::stdout(), "{text}");
    }

    pub(super) fn title(&self, text: &str) {
        self.text(&format!("\n[{:4.1} s] {text}", self.start.elapsed().as_secs_f64()));
    }

    /// A command and what it said.
    pub(super) fn said(&self, host: &str, command: &str, output: &str) {
        self.text(&format!("  {host}$ {command}"));
        for line in output.lines().filter(|line| !line.trim().is_empty()) {
            self.text(&format!("      {line}"));
        }
    }

    /// Runs a command in a host and tells what it said.
    ///
    /// # Errors
    /// It failed: what is shown must be true.
    pub(super) fn works(&self, host: &Host, words: &[&str]) -> Result<()> {
        ensure!(self.run(host, words)?, "on {}, this should have worked: {}", host.name(), words.join(" "));
        Ok(())
    }

    /// Runs a command that is shown because it fails.
    ///
    /// # Errors
    /// It worked.
    pub(super) fn fails(&self, host: &Host, words: &[&str]) -> Result<()> {
        ensure!(!self.run(host, words)?, "on {}, this should have failed: {}", host.name(), words.join(" "));
        Ok(())
    }

    fn run(&self, host: &Host, words: &[&str]) -> Result<bool> {
        let output = host.attempt(words)?;
        let text = [output.stdout, output.stderr].concat();
        let line: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        self.said(host.name(), &line.join(" "), &String::from_utf8_lossy(&text));
        Ok(output.status.success())
    }
}

/// As one would type it into a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        assert_eq!(quoted("64:ff9b::203.0.112.80"), "64:ff9b::203.0.112.80");
        assert_eq!(quoted("http://[::1]/"), "'http://[::1]/'");
    }
}
