//! The bars of the instruction counts, held by every run of the tests.

use std::process::Command;

#[test]
fn no_packet_costs_more_instructions_than_its_bar() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench-instructions")).output().unwrap();

    let (table, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{table}{error}");
    assert!(table.lines().count() > 10, "{table}");
}
