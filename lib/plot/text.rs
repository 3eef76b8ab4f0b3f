//! Letters: Noto Sans Mono in the sizes that a page needs, and text made to fit.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

/// A size and weight of the font. Every letter of a face is equally wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    Body,
    Bold,
    Heading,
}

impl Face {
    const fn cut(self) -> (FontWeight, RasterHeight) {
        match self {
            Face::Body => (FontWeight::Regular, RasterHeight::Size16),
            Face::Bold => (FontWeight::Bold, RasterHeight::Size16),
            Face::Heading => (FontWeight::Bold, RasterHeight::Size20),
        }
    }

    /// Pixels from one letter to the next.
    pub const fn width(self) -> i64 {
        let (weight, size) = self.cut();
        get_raster_width(weight, size) as i64
    }

    /// Pixels from the top of a letter's box to its bottom.
    pub const fn height(self) -> i64 {
        self.cut().1.val() as i64
    }

    /// Pixels that `words` takes.
    pub fn span(self, words: &str) -> i64 {
        words.chars().count() as i64 * self.width()
    }

    /// `words` if it fits into `room` pixels, else as much of its beginning as fits with `...`.
    pub fn clip(self, words: &str, room: i64) -> String {
        if self.span(words) <= room {
            return words.into();
        }
        let letters = (room / self.width()).max(0) as usize;
        let kept: String = words.chars().take(letters.saturating_sub(3)).collect();
        format!("{}{}", kept.trim_end(), &"..."[..letters.min(3)])
    }
}

/// Calls `paint(x, y, cover)` for the pixels of a letter's box. What the font lacks is a `?`.
pub(super) fn letter(letter: char, face: Face, mut paint: impl FnMut(i64, i64, u8)) {
    let (weight, size) = face.cut();
    let Some(glyph) = get_raster(letter, weight, size).or(get_raster('?', weight, size)) else {
        return;
    };
    for (y, row) in glyph.raster().iter().enumerate() {
        for (x, &cover) in row.iter().enumerate() {
            if cover > 0 {
                paint(x as i64, y as i64, cover);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_fits_is_left_alone() {
        let room = 5 * Face::Body.width();
        assert_eq!(Face::Body.clip("12345", room), "12345");
        assert_eq!(Face::Body.clip("", 0), "");
    }

    #[test]
    fn long_text_is_cut_with_an_ellipsis_to_the_room_there_is() {
        let letters = |n: i64| Face::Body.clip("a long name", n * Face::Body.width());
        assert_eq!(letters(9), "a long...");
        assert_eq!(letters(5), "a...");
        assert_eq!(letters(3), "...");
        assert_eq!(letters(1), ".");
        assert_eq!(letters(0), "");
        assert_eq!(letters(-4), "");
        assert_eq!(Face::Body.clip("äöüäöü", 5 * Face::Body.width()), "äö...");
    }

    #[test]
    fn every_face_has_the_letters_that_pages_use() {
        for face in [Face::Body, Face::Bold, Face::Heading] {
            let cover = |c| {
                let mut sum = 0;
                letter(c, face, |_, _, cover| sum += u32::from(cover));
                sum
            };
            let (weight, size) = face.cut();
            for c in ('!'..='~').chain(['±', 'µ', '°']) {
                assert!(get_raster(c, weight, size).is_some(), "{c}");
                assert!(cover(c) > 0, "{c}");
            }
            assert_eq!(cover('\u{4e00}'), cover('?'));
        }
    }
}
