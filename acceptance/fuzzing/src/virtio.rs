//! Frames as a TUN device gives them: read, cut, written back, and translated on the way.

use nat64::Side;
use packet::{HEADROOM, Offload, Packet, segment, virtio as header};

use crate::bench::Bench;
use crate::operations::{Step, shape};
use crate::packets::{Mend, leave_checksum_open, mend};
use crate::script::Script;

/// Frames: a virtio-net header, and a packet that it describes, or not.
pub fn virtio(input: &[u8]) {
    let (mut bench, mut script) = (Bench::new(), Script::new(input));
    while step(&mut bench, &mut script).is_some() {}
}

fn step(bench: &mut Bench, script: &mut Script<'_>) -> Step {
    let how = script.byte()?;
    let side = if how & 1 == 0 { Side::Inside } else { Side::Outside };
    let mut front: [u8; header::HEADER_LEN] = script.bytes(header::HEADER_LEN).try_into().ok()?;
    let mut bytes = if how & 2 == 0 {
        shape(bench, script, side)?
    } else {
        let len = script.word()?;
        script.bytes(usize::from(len)).to_vec()
    };
    mend(&mut bytes, Mend::of(how >> 2));
    if how & 0x10 != 0 {
        let offload = leave_checksum_open(&mut bytes);
        describe(&mut front, &mut bytes, offload);
    }
    frame(bench, side, &front, &bytes);
    Some(())
}

/// Makes the places of the header right, so that its type and sizes are what is tried.
fn describe(front: &mut [u8; header::HEADER_LEN], bytes: &mut [u8], offload: Offload) {
    let end = bytes.len();
    let mut packet = Packet::new(bytes, 0..end);
    packet.offload = offload;
    let right = header::encode(&packet);
    front[0] = right[0];
    front[6..].copy_from_slice(&right[6..]);
}

fn frame(bench: &mut Bench, side: Side, front: &[u8], bytes: &[u8]) {
    let Ok(offload) = header::decode(front, bytes) else { return };
    let mut buffer = [&[0; HEADROOM][..], bytes].concat();
    let end = buffer.len();
    let mut packet = Packet::new(&mut buffer, HEADROOM..end);
    packet.offload = offload;
    check_written(&mut packet);
    check_parts(&packet);
    if offload.segments.is_none() {
        let before = packet.offload;
        let completed = segment::complete_checksum(&mut packet);
        assert!(completed.is_err() || packet.offload == Offload::default(), "{before:?}");
    }
    bench.hand(side, bytes, offload);
}

/// What is written is what was read, except for what the kernel only believes.
fn check_written(packet: &mut Packet<'_>) {
    let (offload, bytes) = (packet.offload, packet.bytes().to_vec());
    let frame = header::with_header(packet).expect("there is room").to_vec();
    let (front, rest) = frame.split_at(header::HEADER_LEN);
    assert_eq!(rest, bytes);
    assert_eq!(header::decode(front, rest), Ok(offload));
}

/// Parts carry the payload of the whole, in order, and no more of it than was asked for.
fn check_parts(packet: &Packet<'_>) {
    let mut parts = Vec::new();
    if segment::segment(packet, |part| parts.push(part.to_vec())).is_err() {
        assert!(parts.is_empty(), "nothing was emitted");
        return;
    }
    let Some(segments) = packet.offload.segments else {
        assert_eq!(parts.len(), 1);
        return;
    };
    let payload = |bytes: &[u8]| {
        let layout = packet::Layout::of(bytes).expect("a part can be read");
        let header = layout.transport_header(bytes).expect("a part has the header of the whole").expect("TCP or UDP");
        bytes[layout.transport_at + header.len..layout.end].to_vec()
    };
    let whole = payload(packet.bytes());
    assert_eq!(parts.iter().flat_map(|part| payload(part)).collect::<Vec<_>>(), whole);
    assert_eq!(parts.len(), whole.len().div_ceil(usize::from(segments.size_bytes)).max(1));
    for part in &parts {
        assert!(payload(part).len() <= usize::from(segments.size_bytes));
        crate::oracle::read(part, crate::oracle::Trust::Right);
    }
}
