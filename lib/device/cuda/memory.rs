//! The plan of a program's memory on the device: how much is needed is known before any is taken.
//!
//! What lasts from run to run (*fixed*: scalars, arrays, fields, tables) lies in one area; what only one
//! region uses (*scratch*: planes of a transform, partial sums) shares another.

use crate::device::Precision;
use num_complex::Complex64;
use std::sync::Arc;

/// Every buffer starts at a multiple of this, as the device's own allocations do.
const ALIGNMENT: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Area {
    Fixed,
    Scratch,
}

/// Where something is: bytes from the start of an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    pub area: Area,
    pub offset: usize,
}

impl Place {
    /// The place `bytes` further on.
    pub fn after(self, bytes: usize) -> Place {
        Place { offset: self.offset + bytes, ..self }
    }
}

/// What a buffer holds from the start.
#[derive(Debug, Clone)]
pub enum Content {
    /// In the precision of arrays.
    Reals(Arc<Vec<f64>>),
    Complexes(Vec<Complex64>),
    Doubles(Vec<f64>),
    Integers(Vec<i32>),
}

impl Content {
    /// As it lies in memory.
    pub fn bytes(&self, precision: Precision) -> Vec<u8> {
        let real = |v: f64, out: &mut Vec<u8>| match precision {
            Precision::F64 => out.extend(v.to_ne_bytes()),
            Precision::F32 => out.extend((v as f32).to_ne_bytes()),
        };
        let mut out = Vec::new();
        match self {
            Content::Reals(values) => values.iter().for_each(|&v| real(v, &mut out)),
            Content::Complexes(values) => {
                values.iter().flat_map(|z| [z.re, z.im]).for_each(|v| real(v, &mut out));
            }
            Content::Doubles(values) => values.iter().for_each(|v| out.extend(v.to_ne_bytes())),
            Content::Integers(values) => values.iter().for_each(|v| out.extend(v.to_ne_bytes())),
        }
        out
    }

    fn len(&self, precision: Precision) -> usize {
        match self {
            Content::Reals(values) => values.len() * size_of_real(precision),
            Content::Complexes(values) => values.len() * 2 * size_of_real(precision),
            Content::Doubles(values) => values.len() * 8,
            Content::Integers(values) => values.len() * 4,
        }
    }
}

pub fn size_of_real(precision: Precision) -> usize {
    match precision {
        Precision::F64 => 8,
        Precision::F32 => 4,
    }
}

/// Real numbers as they lie in memory, read back.
pub fn numbers(bytes: &[u8], precision: Precision) -> Vec<f64> {
    match precision {
        Precision::F64 => {
            let all = bytes.as_chunks().0.iter();
            all.map(|&bytes| f64::from_ne_bytes(bytes)).collect()
        }
        Precision::F32 => {
            let all = bytes.as_chunks().0.iter();
            all.map(|&bytes| f32::from_ne_bytes(bytes).into()).collect()
        }
    }
}

/// The plan.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub precision: Precision,
    /// Bytes of the fixed area.
    pub fixed: usize,
    /// Bytes of the scratch area: those of the step that needs most.
    pub scratch: usize,
    /// What is written once, before the first run.
    pub contents: Vec<(Place, Content)>,
    /// Of the step that is being planned.
    used: usize,
}

impl Memory {
    pub fn new(precision: Precision) -> Self {
        Memory { precision, ..Memory::default() }
    }

    /// A buffer that lasts.
    pub fn fixed(&mut self, bytes: usize) -> Place {
        let offset = self.fixed;
        self.fixed += bytes.max(1).next_multiple_of(ALIGNMENT);
        Place { area: Area::Fixed, offset }
    }

    /// A buffer that lasts, with its content.
    pub fn content(&mut self, content: Content) -> Place {
        let place = self.fixed(content.len(self.precision));
        self.contents.push((place, content));
        place
    }

    /// Begins another step, which may overwrite the scratch buffers of the last.
    pub fn next_step(&mut self) {
        self.used = 0;
    }

    /// A buffer for this step.
    pub fn scratch(&mut self, bytes: usize) -> Place {
        let offset = self.used;
        self.used += bytes.max(1).next_multiple_of(ALIGNMENT);
        self.scratch = self.scratch.max(self.used);
        Place { area: Area::Scratch, offset }
    }

    /// The size of this many real numbers of arrays.
    pub fn reals(&self, count: usize) -> usize {
        count * size_of_real(self.precision)
    }
}

/// What to say where it is not enough.
pub fn shortage(needed: usize, free: usize, device: &str) -> String {
    let (unit, size) = match needed >> 30 {
        0 => ("MiB", 1u64 << 20),
        _ => ("GiB", 1u64 << 30),
    };
    let amount = |bytes: usize| bytes as f64 / size as f64;
    format!(
        "not enough memory on {device}: {:.2} {unit} are needed and {:.2} {unit} are free; use a smaller grid, --precision f32 or --backend cpu",
        amount(needed),
        amount(free)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_do_not_overlap_and_steps_share_scratch() {
        let mut memory = Memory::new(Precision::F32);
        let a = memory.fixed(1);
        let b = memory.content(Content::Reals(vec![1.0, -2.5].into()));
        assert_eq!((a.offset, b.offset, memory.fixed), (0, 256, 512));
        assert_eq!(memory.contents[0].1.bytes(Precision::F32).len(), 8);
        let first = memory.scratch(1000);
        assert_eq!(memory.scratch(10).offset, 1024);
        memory.next_step();
        assert_eq!(memory.scratch(300), first);
        assert_eq!(memory.scratch, 1280);
    }

    #[test]
    fn a_shortage_says_how_much_is_needed() {
        let line = shortage(3 << 30, 1 << 30, "NVIDIA X");
        assert!(line.contains("3.00 GiB are needed") && line.contains("1.00 GiB"), "{line}");
    }
}
