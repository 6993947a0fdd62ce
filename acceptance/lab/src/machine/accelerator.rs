//! Whether this machine's KVM runs the kernel of the image: it may be there and yet not emulate what a kernel does.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::image::Image;
use crate::wait;

const KVM: &str = "kvm";
/// One thread for each processor of the machine; translated code is kept.
const EMULATION: &str = "tcg,thread=multi,tb-size=512";
/// A kernel that KVM runs has come to its end long before.
const LIMIT: Duration = Duration::from_secs(15);

/// What qemu shall run the image with. Tried once in a process.
pub(super) fn choose(image: &Image) -> Result<&'static str> {
    static CHOICE: OnceLock<bool> = OnceLock::new();
    let runs = match CHOICE.get() {
        Some(runs) => *runs,
        None => *CHOICE.get_or_init(|| Path::new("/dev/kvm").exists() && kvm_runs(image).unwrap_or(false)),
    };
    let choice = if runs { KVM } else { EMULATION };
    eprintln!("machines run with {choice}");
    Ok(choice)
}

/// Boots the kernel to its first process, `true`: that ends, the kernel panics, and with that qemu ends.
fn kvm_runs(image: &Image) -> Result<bool> {
    let mut qemu = Command::new("qemu-system-x86_64")
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "512M", "-cpu", "max"])
        .args(["-accel", KVM, "-serial", "stdio", "-append", "console=ttyS0 panic=-1 rdinit=/bin/true", "-kernel"])
        .arg(&image.kernel)
        .arg("-initrd")
        .arg(&image.initrd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("qemu-system-x86_64 (package qemu-system-x86)")?;
    let ended = wait::until("the end of a kernel under KVM", LIMIT, || Ok(qemu.try_wait()?));
    if ended.is_err() {
        qemu.kill()?;
    }
    let said = qemu.wait_with_output()?.stdout;
    Ok(ended.is_ok() && String::from_utf8_lossy(&said).contains("Run /bin/true as init process"))
}
