//! Generates the gRPC services with protox, so that nobody needs `protoc` to build a provider.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let files = protox::compile(["tfplugin5.proto", "plugin.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .use_arc_self(true)
        .btree_map(".")
        // Values hold private keys: `proto.rs` writes their Debug, which tells nothing.
        .skip_debug(["tfplugin5.DynamicValue", "tfplugin5.RawState"])
        .compile_fds(files)?;
    println!("cargo::rerun-if-changed=proto");
    Ok(())
}
