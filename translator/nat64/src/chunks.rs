//! Elements by number that never move: a vector of chunks of one size.
//!
//! A vector that doubles copies all of its elements, and clears as much memory again, between two packets. Here growing
//! means one more chunk, whatever there is already.

use std::ops::{Index, IndexMut};

/// Elements of a chunk.
const CHUNK: usize = 1024;

#[derive(Debug)]
pub(crate) struct Chunks<T>(Vec<Box<[T; CHUNK]>>);

impl<T> Chunks<T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Makes room for the element of this number; what is new is filled.
    #[inline(always)]
    pub(crate) fn reach(&mut self, number: u32, fill: impl Fn() -> T) {
        if self.0.len() <= number as usize / CHUNK {
            self.grow(number, fill);
        }
    }

    /// Apart, because whoever calls this would have to make room for a chunk on the stack, every time.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, number: u32, fill: impl Fn() -> T) {
        while self.0.len() <= number as usize / CHUNK {
            self.0.push(Box::new(std::array::from_fn(|_| fill())));
        }
    }

    #[inline(always)]
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.0.get(number as usize / CHUNK).map(|chunk| &chunk[number as usize % CHUNK])
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.0.get_mut(number as usize / CHUNK).map(|chunk| &mut chunk[number as usize % CHUNK])
    }
}

impl<T> Index<u32> for Chunks<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, number: u32) -> &T {
        &self.0[number as usize / CHUNK][number as usize % CHUNK]
    }
}

impl<T> IndexMut<u32> for Chunks<T> {
    #[inline(always)]
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.0[number as usize / CHUNK][number as usize % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_up_to_the_chunk_that_was_reached() {
        let mut chunks = Chunks::new();
        assert_eq!(chunks.get(0), None);

        chunks.reach(1024, || 7);
        chunks[1024] = 8;

        assert_eq!(
            (chunks.get(0), chunks.get(1024), chunks.get(2047), chunks.get(2048)),
            (Some(&7), Some(&8), Some(&7), None)
        );
    }
}
