//! What fuzzing has found, on the stable toolchain.

#[cfg(test)]
mod replay;
