//! One source, compiled for several instruction sets; the best that the machine has is called.

use super::Real;
use super::vector::{PortableVector, Vector};
use std::sync::OnceLock;

/// What the machine can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every machine of the target has.
    Plain,
}

impl Isa {
    /// The best of this machine.
    pub fn here() -> Isa {
        static HERE: OnceLock<Isa> = OnceLock::new();
        *HERE.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            {
                // Tests of this library can be run as on a lesser machine: OOF_ISA=avx2, or plain.
                let wanted = if cfg!(test) { std::env::var("OOF_ISA").ok() } else { None };
                let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
                let avx512 = is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq");
                match (wanted.as_deref(), avx2, avx512) {
                    (None, true, true) => return Isa::Avx512,
                    (None | Some("avx2"), true, _) => return Isa::Avx2,
                    _ => {}
                }
            }
            Isa::Plain
        })
    }
}

/// What a body of [`vectorised`] is compiled for.
pub trait Machine {
    type F64: Vector<Number = f64>;
    type F32: Vector<Number = f32>;

    /// `a b + c`, in one instruction where there is one, else in two. The library function that stands
    /// in for the instruction where it is missing is as exact, and very slow.
    fn mul_add<T: Real>(a: T, b: T, c: T) -> T;
}

/// A machine with a fused multiplication and addition.
macro_rules! fused {
    ($name:ident, $f64:ident, $f32:ident) => {
        #[cfg(target_arch = "x86_64")]
        pub struct $name;

        #[cfg(target_arch = "x86_64")]
        impl Machine for $name {
            type F64 = super::vector::$f64;
            type F32 = super::vector::$f32;

            #[inline(always)]
            fn mul_add<T: Real>(a: T, b: T, c: T) -> T {
                a.fused(b, c)
            }
        }
    };
}
fused!(Avx512, Avx512F64, Avx512F32);
fused!(Avx2, Avx2F64, Avx2F32);

/// Any machine.
pub struct Plain;

impl Machine for Plain {
    type F64 = PortableVector<f64>;
    type F32 = PortableVector<f32>;

    #[inline(always)]
    fn mul_add<T: Real>(a: T, b: T, c: T) -> T {
        a * b + c
    }
}

/// `vectorised!(pub fn name(arguments) = body)` defines `name<T>`, which calls `body::<T, M>`, a
/// function that is always inlined, as compiled for the best instruction set of the machine.
macro_rules! vectorised {
    ($(#[$meta:meta])* pub fn $name:ident($($argument:ident: $type:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        pub fn $name<T: $crate::device::cpu::Real>($($argument: $type),*) {
            use $crate::device::cpu::isa::Isa;
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx512<T: $crate::device::cpu::Real>($($argument: $type),*) {
                $body::<T, $crate::device::cpu::isa::Avx512>($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx2<T: $crate::device::cpu::Real>($($argument: $type),*) {
                $body::<T, $crate::device::cpu::isa::Avx2>($($argument),*)
            }
            match Isa::here() {
                // SAFETY: this instruction set was found on this machine.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => unsafe { avx512($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => unsafe { avx2($($argument),*) },
                Isa::Plain => $body::<T, $crate::device::cpu::isa::Plain>($($argument),*),
            }
        }
    };
}
pub(super) use vectorised;
