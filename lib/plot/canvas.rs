//! A raster of colours to draw on, and its PNG.

use super::text::{self, Face};

/// Red, green, blue.
pub type Rgb = [u8; 3];

pub const WHITE: Rgb = [255, 255, 255];
pub const INK: Rgb = [32, 32, 36];
pub const GREY: Rgb = [110, 110, 116];
pub const RULE: Rgb = [205, 205, 210];

/// Sides beyond this are cut: a picture is for the eye, and PNG's own limit is `2^31 - 1`.
const LONGEST_SIDE: usize = 1 << 16;

/// An RGB raster, white at first. Coordinates are pixels from the top left corner, x to the right
/// and y downwards; whatever lies outside is not drawn.
#[derive(Debug, Clone)]
pub struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// A white canvas; sides are brought into `1..=65536`.
    pub fn new(width: usize, height: usize) -> Self {
        let (width, height) = (width.clamp(1, LONGEST_SIDE), height.clamp(1, LONGEST_SIDE));
        Canvas { width, height, pixels: vec![255; 3 * width * height] }
    }

    /// Width and height, pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The colour at a pixel, where there is one.
    pub fn pixel(&self, x: i64, y: i64) -> Option<Rgb> {
        self.offset(x, y).map(|at| [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]])
    }

    /// Sets one pixel.
    pub fn dot(&mut self, x: i64, y: i64, colour: Rgb) {
        if let Some(at) = self.offset(x, y) {
            self.pixels[at..at + 3].copy_from_slice(&colour);
        }
    }

    /// Lays `colour` over a pixel: 0 leaves it alone, 255 replaces it.
    pub fn blend(&mut self, x: i64, y: i64, colour: Rgb, cover: u8) {
        if let Some(at) = self.offset(x, y) {
            let cover = u32::from(cover);
            for (old, new) in self.pixels[at..at + 3].iter_mut().zip(colour) {
                let mixed = u32::from(*old) * (255 - cover) + u32::from(new) * cover;
                *old = ((mixed + 127) / 255) as u8;
            }
        }
    }

    /// A filled rectangle, `width x height` pixels from its top left corner.
    pub fn rect(&mut self, x: i64, y: i64, width: i64, height: i64, colour: Rgb) {
        for row in y.max(0)..(y + height).min(self.height as i64) {
            for column in x.max(0)..(x + width).min(self.width as i64) {
                self.dot(column, row, colour);
            }
        }
    }

    /// The one-pixel border just outside the rectangle.
    pub fn frame(&mut self, x: i64, y: i64, width: i64, height: i64, colour: Rgb) {
        let (left, right, top, bottom) = (x - 1, x + width, y - 1, y + height);
        self.line((left, top), (right, top), colour);
        self.line((left, bottom), (right, bottom), colour);
        self.line((left, top), (left, bottom), colour);
        self.line((right, top), (right, bottom), colour);
    }

    /// A line one pixel wide, both ends included.
    pub fn line(&mut self, from: (i64, i64), to: (i64, i64), colour: Rgb) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let steps = dx.abs().max(dy.abs()).max(1);
        for step in 0..=steps {
            // Rounded to the nearest pixel, halves upwards, in integers.
            let part = |d: i64| (2 * d * step + steps).div_euclid(2 * steps);
            self.dot(from.0 + part(dx), from.1 + part(dy), colour);
        }
    }

    /// An image `width` pixels wide, row by row from the top; an unfinished last row is drawn too.
    pub fn image(&mut self, x: i64, y: i64, width: usize, colours: &[Rgb]) {
        for (row, line) in colours.chunks(width.max(1)).enumerate() {
            for (column, &colour) in line.iter().enumerate() {
                self.dot(x + column as i64, y + row as i64, colour);
            }
        }
    }

    /// Text from left to right; `(x, y)` is the top left corner of the first letter's box.
    pub fn text(&mut self, x: i64, y: i64, words: &str, face: Face, colour: Rgb) {
        for (at, letter) in words.chars().enumerate() {
            let left = x + at as i64 * face.width();
            text::letter(letter, face, |i, j, cover| {
                self.blend(left + i, y + j, colour, cover);
            });
        }
    }

    /// Text that reads upwards; `(x, y)` is the bottom left corner, where it begins.
    pub fn text_upwards(&mut self, x: i64, y: i64, words: &str, face: Face, colour: Rgb) {
        for (at, letter) in words.chars().enumerate() {
            let bottom = y - at as i64 * face.width();
            text::letter(letter, face, |i, j, cover| {
                self.blend(x + j, bottom - i, colour, cover);
            });
        }
    }

    /// The canvas as a PNG file, 8 bits a channel.
    pub fn png(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Balanced);
        let written =
            encoder.write_header().and_then(|mut writer| writer.write_image_data(&self.pixels));
        // Memory does not refuse a write, both sides are in 1..=2^16, and the data are 3 bytes a
        // pixel of exactly those sides: none of the encoder's errors can happen.
        debug_assert!(written.is_ok(), "{written:?}");
        bytes
    }

    fn offset(&self, x: i64, y: i64) -> Option<usize> {
        let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
        (x < self.width && y < self.height).then_some(3 * (y * self.width + x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_decodes_to_the_pixels_that_were_drawn() {
        let mut canvas = Canvas::new(7, 5);
        canvas.rect(1, 2, 2, 1, [9, 8, 7]);
        let bytes = canvas.png();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (7, 5));
        let painted: Vec<usize> = (0..35).filter(|i| pixels[3 * i] != 255).collect();
        assert_eq!(painted, [2 * 7 + 1, 2 * 7 + 2]);
        assert_eq!(pixels[3 * 15..3 * 16], [9, 8, 7]);
    }

    #[test]
    fn what_lies_outside_is_not_drawn() {
        let mut canvas = Canvas::new(4, 4);
        canvas.rect(-5, -5, 6, 6, INK);
        canvas.line((-3, 10), (10, 10), INK);
        canvas.text(-100, -100, "far off", Face::Body, INK);
        canvas.image(3, 3, 2, &[INK; 4]);
        let dark = (0..16).filter(|i| canvas.pixel(i % 4, i / 4) == Some(INK));
        assert_eq!(dark.collect::<Vec<_>>(), [0, 15]);
        assert_eq!(canvas.pixel(4, 0), None);
    }

    #[test]
    fn a_line_has_both_its_ends_and_no_gap() {
        for to in [(9, 3), (3, 9), (0, 0), (9, 9), (1, 0)] {
            let mut canvas = Canvas::new(10, 10);
            canvas.line((0, 0), to, INK);
            assert_eq!(canvas.pixel(to.0, to.1), Some(INK));
            let dark = (0..100).filter(|i| canvas.pixel(i % 10, i / 10) == Some(INK));
            assert_eq!(dark.count() as i64, to.0.max(to.1) + 1);
        }
    }

    #[test]
    fn half_cover_mixes_half_and_half() {
        let mut canvas = Canvas::new(1, 1);
        canvas.blend(0, 0, [0, 0, 0], 128);
        assert_eq!(canvas.pixel(0, 0), Some([127; 3]));
    }

    #[test]
    fn text_upwards_is_the_same_text_turned_left() {
        let (mut level, mut upwards) = (Canvas::new(40, 20), Canvas::new(20, 40));
        level.text(0, 0, "Fig", Face::Bold, INK);
        upwards.text_upwards(0, 39, "Fig", Face::Bold, INK);
        for y in 0..20 {
            for x in 0..40 {
                assert_eq!(level.pixel(x, y), upwards.pixel(y, 39 - x));
            }
        }
    }
}
