//! How much one direction may take before the others have their turn.

/// The most frames of a turn.
const FRAMES: usize = 64;

/// What is left of a turn. Frames are anything from an acknowledgment to 64 KiB, so both they and their bytes count.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    frames: usize,
    bytes: usize,
}

impl Turn {
    /// A turn of 64 frames, or fewer that have `bytes` bytes together.
    #[must_use]
    pub const fn of(bytes: usize) -> Self {
        Self { frames: FRAMES, bytes }
    }

    /// Counts a frame of `len` bytes. The one that goes beyond the end still belongs to the turn.
    pub const fn takes(&mut self, len: usize) {
        self.frames = self.frames.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(len);
    }

    /// Whether it is the others' turn.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.frames == 0 || self.bytes == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(len: usize, frames: usize) {
        let mut turn = Turn::of(256 << 10);

        let taken = (0..).take_while(|_| {
            let goes_on = !turn.is_over();
            turn.takes(len);
            goes_on
        });

        assert_eq!(taken.count(), frames);
    }

    #[test]
    fn super_packets_end_a_turn_sooner_than_small_packets() {
        check(65_545, 4);
        check(1_510, 64);
        check(70, 64);
    }
}
