//! Web servers of the lab: a page that says whose it is, and a large file.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::{Host, Process, wait};

/// The name of the large file.
pub const LARGE_FILE: &str = "large.bin";

const LIMIT: Duration = Duration::from_secs(20);

/// A web server on port 80 of a host with the files of a directory, and a page that says whose it is and whom it sees.
///
/// # Errors
/// It did not come up.
pub fn serve(host: &Host, address: &str, directory: &Path, title: &str) -> Result<Process> {
    let script = directory.with_extension("py");
    std::fs::write(&script, include_str!("internet4/web.py"))?;
    let python = crate::binaries::find("python3").context("python3 (package python3)")?;
    let words = [python.as_path(), &script, address.as_ref(), directory, title.as_ref()];
    let mut page = host.spawn("web", &words)?;
    wait::until(&format!("the web server of {}", host.name()), LIMIT, || match page.ended()? {
        Some(status) => anyhow::bail!("it ended with {status}: {}", page.log()),
        None => Ok(page.log().contains("ready").then_some(())),
    })?;
    Ok(page)
}

/// Puts the large file into a directory.
///
/// # Errors
/// The disk is full.
pub fn publish_large_file(directory: &Path, length_bytes: u64) -> Result<()> {
    let path = directory.join(LARGE_FILE);
    let mut file = BufWriter::new(File::create(&path).with_context(|| path.display().to_string())?);
    write_large_file(&mut file, length_bytes)?;
    file.flush().context("the large file")
}

/// Bytes that look random and are the same every time (SplitMix64).
///
/// # Errors
/// The writer's.
pub fn write_large_file(to: &mut impl std::io::Write, length_bytes: u64) -> Result<()> {
    let mut state = 0_u64;
    let mut block = [0; 1 << 13];
    let mut left = length_bytes;
    while left > 0 {
        for word in block.chunks_exact_mut(8) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
        }
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        to.write_all(&block[..now])?;
        left -= now as u64;
    }
    Ok(())
}
