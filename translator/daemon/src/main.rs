//! The program. All of it is the library, so that fuzz targets can reach what reads the control socket.

use std::process::ExitCode;

fn main() -> ExitCode {
    hetznat_translator::main()
}
