//! Vectors for Fourier transforms, chains and windows: what the compiler does not find by itself there, and what makes
//! transforms three times as fast.
//!
//! In memory all numbers lie as they do for the widest registers, 64 bytes together: 8 `f64` or 16 `f32`. A vector is
//! one register of the machine, and where that is narrower it is one of several *pieces* of them, which are worked on
//! one after the other: all numbers of a butterfly would not fit the registers otherwise.

use super::Real;
use bytemuck::Zeroable;
use rustfft::num_complex::Complex;

/// A complex number a lane: a vector of real parts and one of imaginary parts, in memory.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(64))]
pub struct Batch<T: Real> {
    pub re: T::Lanes,
    pub im: T::Lanes,
}

// SAFETY: both parts are `T::Lanes`, of which zero bits are a value.
unsafe impl<T: Real> Zeroable for Batch<T> {}

impl<T: Real> Batch<T> {
    /// Exchanges real and imaginary parts.
    pub fn exchange(&mut self) {
        std::mem::swap(&mut self.re, &mut self.im);
    }

    pub fn get(&self, lane: usize) -> Complex<T> {
        Complex::new(self.re.as_ref()[lane], self.im.as_ref()[lane])
    }

    pub fn set(&mut self, lane: usize, z: Complex<T>) {
        self.re.as_mut()[lane] = z.re;
        self.im.as_mut()[lane] = z.im;
    }
}

/// Asks for values that will be used soon, so that they are on their way from memory meanwhile.
#[inline(always)]
pub fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..size_of_val(values)).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = values.as_ptr().cast::<i8>().wrapping_add(line);
        // SAFETY: a hint, which no address can make wrong; every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

/// The numbers of 64 bytes, as an array.
type LanesOf<V> = <<V as Vector>::Number as Real>::Lanes;

/// A vector in a register.
pub trait Vector: Copy {
    /// What a lane holds.
    type Number: Real;
    /// The number of lanes.
    const LANES: usize;
    /// The vectors of 64 bytes: one or two.
    const PIECES: usize = Self::Number::LANES / Self::LANES;
    #[inline(always)]
    fn load(from: &LanesOf<Self>, piece: usize) -> Self {
        // SAFETY: `LanesOf<Self>` is an array, and the slice has the numbers of a vector.
        unsafe { Self::read(from.as_ref()[piece * Self::LANES..][..Self::LANES].as_ptr()) }
    }
    #[inline(always)]
    fn store(self, to: &mut LanesOf<Self>, piece: usize) {
        // SAFETY: as above.
        unsafe { self.write(to.as_mut()[piece * Self::LANES..][..Self::LANES].as_mut_ptr()) }
    }
    /// From memory.
    ///
    /// # Safety
    /// There are as many numbers as a vector has.
    unsafe fn read(from: *const Self::Number) -> Self;
    /// To memory.
    ///
    /// # Safety
    /// There is room for as many numbers as a vector has.
    unsafe fn write(self, to: *mut Self::Number);
    /// From two halves, where a vector has as many lanes as two rows of a tile.
    ///
    /// # Safety
    /// There are half as many numbers as a vector has at either place.
    unsafe fn read_halves(_low: *const Self::Number, _high: *const Self::Number) -> Self {
        unreachable!("vectors of this machine have one row")
    }
    /// To two halves.
    ///
    /// # Safety
    /// There is room for half as many numbers as a vector has at either place.
    unsafe fn write_halves(self, _low: *mut Self::Number, _high: *mut Self::Number) {
        unreachable!("vectors of this machine have one row")
    }
    fn splat(value: Self::Number) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// `self * a + b`
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// `self * a - b`
    fn mul_sub(self, a: Self, b: Self) -> Self;
    /// `b - self * a`
    fn sub_mul(self, a: Self, b: Self) -> Self;
    /// Whether there is a fast [`swap`](Vector::swap).
    const SWAPS: bool = false;
    /// Exchanges the lanes of `self` whose number has the bit `distance` with those of `high` without it.
    fn swap(self, _high: Self, _distance: usize) -> (Self, Self) {
        unreachable!("numbers of this machine are turned one by one")
    }
}

/// For machines of which we know nothing: the compiler does what it can.
#[derive(Clone, Copy)]
pub struct PortableVector<T: Real>([T; 8]);

impl<T: Real> PortableVector<T> {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(T, T) -> T) -> Self {
        PortableVector(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl<T: Real> Vector for PortableVector<T> {
    type Number = T;
    const LANES: usize = 8;
    #[inline(always)]
    unsafe fn read(from: *const T) -> Self {
        // SAFETY: by the caller's promise; a vector is an array of numbers.
        PortableVector(unsafe { from.cast::<[T; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn write(self, to: *mut T) {
        // SAFETY: as above.
        unsafe { to.cast::<[T; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    fn splat(value: T) -> Self {
        PortableVector([value; 8])
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        self.mul(a).add(b)
    }
    #[inline(always)]
    fn mul_sub(self, a: Self, b: Self) -> Self {
        self.mul(a).sub(b)
    }
    #[inline(always)]
    fn sub_mul(self, a: Self, b: Self) -> Self {
        b.sub(self.mul(a))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    /// A vector, which is one `$register`, by its instructions.
    macro_rules! vector {
        (
            $name:ident, $type:ident, $register:ident,
            $load:ident $store:ident $splat:ident,
            $($of_two:ident $two:ident)+, $($of_three:ident $three:ident)+; $($more:item)*
        ) => {
            /// Lives only inside functions that are compiled, and called, for its instruction set.
            #[derive(Clone, Copy)]
            pub struct $name($register);

            // SAFETY, for every block below: the instruction set is there, because `isa::vectorised`
            // picks the machine that names this type only after finding it; loads and stores are
            // unaligned ones of as many numbers as the caller promises.
            impl Vector for $name {
                type Number = $type;
                const LANES: usize = size_of::<$register>() / size_of::<$type>();
                #[inline(always)]
                unsafe fn read(from: *const $type) -> Self {
                    $name(unsafe { $load(from) })
                }
                #[inline(always)]
                unsafe fn write(self, to: *mut $type) {
                    unsafe { $store(to, self.0) }
                }
                #[inline(always)]
                fn splat(value: $type) -> Self {
                    $name(unsafe { $splat(value) })
                }
                $(#[inline(always)]
                fn $of_two(self, b: Self) -> Self {
                    $name(unsafe { $two(self.0, b.0) })
                })+
                $(#[inline(always)]
                fn $of_three(self, a: Self, b: Self) -> Self {
                    $name(unsafe { $three(self.0, a.0, b.0) })
                })+
                const SWAPS: bool = true;
                $($more)*
            }
        };
    }

    /// Numbers of two vectors exchanged by a permutation of `$lanes` lanes, counted in `$index`.
    macro_rules! swap {
        ($name:ident, $index:ident, $lanes:literal, $permute:ident) => {
            #[inline(always)]
            fn swap(self, high: Self, distance: usize) -> (Self, Self) {
                // Lanes of the second operand have numbers after those of the first.
                let has = |lane: usize| lane & distance > 0;
                let low =
                    |lane| (if has(lane) { $lanes + lane - distance } else { lane }) as $index;
                let high_lane =
                    |lane| (if has(lane) { $lanes + lane } else { lane + distance }) as $index;
                // (Kept as arrays: written otherwise they are no constants, and all takes twice as long.)
                let places: [[$index; $lanes]; 2] =
                    [std::array::from_fn(low), std::array::from_fn(high_lane)];
                let pick = |places: &[$index; $lanes]| unsafe {
                    let places = _mm512_loadu_si512(places.as_ptr().cast());
                    $name($permute(self.0, places, high.0))
                };
                (pick(&places[0]), pick(&places[1]))
            }
        };
    }

    vector!(
        Avx512F64, f64, __m512d, _mm512_loadu_pd _mm512_storeu_pd _mm512_set1_pd,
        add _mm512_add_pd sub _mm512_sub_pd mul _mm512_mul_pd div _mm512_div_pd,
        mul_add _mm512_fmadd_pd mul_sub _mm512_fmsub_pd sub_mul _mm512_fnmadd_pd;
        swap!(Avx512F64, i64, 8, _mm512_permutex2var_pd);
    );
    vector!(
        Avx512F32, f32, __m512, _mm512_loadu_ps _mm512_storeu_ps _mm512_set1_ps,
        add _mm512_add_ps sub _mm512_sub_ps mul _mm512_mul_ps div _mm512_div_ps,
        mul_add _mm512_fmadd_ps mul_sub _mm512_fmsub_ps sub_mul _mm512_fnmadd_ps;
        swap!(Avx512F32, i32, 16, _mm512_permutex2var_ps);
        #[inline(always)]
        unsafe fn read_halves(low: *const f32, high: *const f32) -> Self {
            unsafe {
                let low = _mm512_castps256_ps512(_mm256_loadu_ps(low));
                Avx512F32(_mm512_insertf32x8::<1>(low, _mm256_loadu_ps(high)))
            }
        }
        #[inline(always)]
        unsafe fn write_halves(self, low: *mut f32, high: *mut f32) {
            unsafe {
                _mm256_storeu_ps(low, _mm512_castps512_ps256(self.0));
                _mm256_storeu_ps(high, _mm512_extractf32x8_ps::<1>(self.0));
            }
        }
    );
    vector!(
        Avx2F64, f64, __m256d, _mm256_loadu_pd _mm256_storeu_pd _mm256_set1_pd,
        add _mm256_add_pd sub _mm256_sub_pd mul _mm256_mul_pd div _mm256_div_pd,
        mul_add _mm256_fmadd_pd mul_sub _mm256_fmsub_pd sub_mul _mm256_fnmadd_pd;
        #[inline(always)]
        fn swap(self, high: Self, distance: usize) -> (Self, Self) {
            let (a, b) = (self.0, high.0);
            let both = |low, high| (Avx2F64(low), Avx2F64(high));
            match distance {
                1 => unsafe { both(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b)) },
                _ => unsafe {
                    both(_mm256_permute2f128_pd::<0x20>(a, b), _mm256_permute2f128_pd::<0x31>(a, b))
                },
            }
        }
    );
    vector!(
        Avx2F32, f32, __m256, _mm256_loadu_ps _mm256_storeu_ps _mm256_set1_ps,
        add _mm256_add_ps sub _mm256_sub_ps mul _mm256_mul_ps div _mm256_div_ps,
        mul_add _mm256_fmadd_ps mul_sub _mm256_fmsub_ps sub_mul _mm256_fnmadd_ps;
        #[inline(always)]
        fn swap(self, high: Self, distance: usize) -> (Self, Self) {
            let (a, b) = (self.0, high.0);
            let (low, high) = unsafe {
                match distance {
                    1 => (
                        _mm256_blend_ps::<0xAA>(a, _mm256_moveldup_ps(b)),
                        _mm256_blend_ps::<0xAA>(_mm256_movehdup_ps(a), b),
                    ),
                    2 => (
                        _mm256_shuffle_ps::<0b01_00_01_00>(a, b),
                        _mm256_shuffle_ps::<0b11_10_11_10>(a, b),
                    ),
                    _ => (_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b)),
                }
            };
            (Avx2F32(low), Avx2F32(high))
        }
    );
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2F32, Avx2F64, Avx512F32, Avx512F64};

/// A complex number a lane, in registers.
#[derive(Clone, Copy)]
pub struct Complexes<V> {
    pub re: V,
    pub im: V,
}

impl<T: Real, V: Vector<Number = T>> Complexes<V> {
    #[inline(always)]
    pub fn load(from: &Batch<T>, piece: usize) -> Self {
        Complexes { re: V::load(&from.re, piece), im: V::load(&from.im, piece) }
    }
    #[inline(always)]
    pub fn store(self, to: &mut Batch<T>, piece: usize) {
        self.re.store(&mut to.re, piece);
        self.im.store(&mut to.im, piece);
    }
    #[inline(always)]
    pub fn zero() -> Self {
        let zero = V::splat(T::zero());
        Complexes { re: zero, im: zero }
    }
    #[inline(always)]
    pub fn add(self, b: Self) -> Self {
        Complexes { re: self.re.add(b.re), im: self.im.add(b.im) }
    }
    #[inline(always)]
    pub fn sub(self, b: Self) -> Self {
        Complexes { re: self.re.sub(b.re), im: self.im.sub(b.im) }
    }
    /// `self - i b`
    #[inline(always)]
    pub fn sub_i(self, b: Self) -> Self {
        Complexes { re: self.re.add(b.im), im: self.im.sub(b.re) }
    }
    /// `self + i b`
    #[inline(always)]
    pub fn add_i(self, b: Self) -> Self {
        Complexes { re: self.re.sub(b.im), im: self.im.add(b.re) }
    }
    /// `self w`
    #[inline(always)]
    pub fn times(self, w: (T, T)) -> Self {
        let (re, im) = (V::splat(w.0), V::splat(w.1));
        Complexes {
            re: self.re.mul_sub(re, self.im.mul(im)),
            im: self.re.mul_add(im, self.im.mul(re)),
        }
    }
    /// `self + b w`
    #[inline(always)]
    pub fn add_times(self, b: Self, w: (T, T)) -> Self {
        let (re, im) = (V::splat(w.0), V::splat(w.1));
        Complexes {
            re: b.im.sub_mul(im, b.re.mul_add(re, self.re)),
            im: b.im.mul_add(re, b.re.mul_add(im, self.im)),
        }
    }
}
