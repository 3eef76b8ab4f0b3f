//! One FITS header, read just far enough to trust it: its cards, and what its data unit holds.
//!
//! CFITSIO believes what a header claims. Here the claims are checked against the rules of the FITS
//! standard (version 4.0, sections 4.4 and 7) before it sees them.

use super::card::{Cards, printable, text_value};
use crate::error::{Error, Result};

/// The length of a block, bytes: headers and data units are padded to a whole number of them.
pub const BLOCK: usize = 2880;
/// More axes than any map has; the standard allows 999.
const MOST_AXES: usize = 9;

/// A column of a binary table.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    /// Values in a row, and the letter of their type (`D`, `E`, `A`, ...).
    pub repeat: usize,
    pub letter: char,
    /// The unit; empty where the file says none.
    pub unit: String,
}

/// What a header describes.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A header without data.
    Empty,
    /// An image; `NAXIS1` first. Its pixels are integers or floating-point numbers.
    Image { axes: Vec<usize>, floating: bool },
    /// A binary table.
    Table { rows: usize, columns: Vec<Column> },
    /// An ASCII table: nothing that we read.
    AsciiTable,
}

/// One header with its length and that of its data unit, bytes, both before padding.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    pub name: String,
    pub content: Content,
    pub length: usize,
    pub data_length: usize,
    /// Whether it has the key `DZ`, the mark of a map.
    pub has_defocus: bool,
}

impl Header {
    /// Reads the header at the start of `bytes`; `first` for a file's primary header.
    ///
    /// # Errors
    /// A header that breaks the standard, or that holds what we do not read (random groups,
    /// tile compression).
    pub fn parse(bytes: &[u8], first: bool, place: &str) -> Result<Self> {
        let cards = Cards::parse(bytes, place)?;
        let wrong = |what: String| Err(Error::input(place, what));
        let kind = if first {
            if cards.at(0, "SIMPLE")? != "T" {
                return wrong("SIMPLE is not T: not a standard FITS file".into());
            }
            "IMAGE".to_string()
        } else {
            text_value(cards.at(0, "XTENSION")?)
        };
        let (axes, bits, data_length) = sizes(&cards, first, place)?;
        check_claims(&cards, axes.len(), place)?;
        let content = match kind.as_str() {
            "IMAGE" if axes.is_empty() => Content::Empty,
            // CFITSIO takes NAXIS1 = 0 for the mark of random groups and would look for the next
            // header somewhere else.
            "IMAGE" if axes.contains(&0) => return wrong("an axis of the image is 0 long".into()),
            "IMAGE" => Content::Image { axes, floating: bits < 0 },
            "BINTABLE" => table(&cards, &axes, bits, place)?,
            "TABLE" => Content::AsciiTable,
            other => {
                return wrong(format!(
                    "XTENSION is '{}', expected IMAGE, BINTABLE or TABLE",
                    printable(other)
                ));
            }
        };
        Ok(Header {
            name: text_value(cards.find("EXTNAME")?.unwrap_or_default()),
            content,
            length: cards.length,
            data_length,
            has_defocus: cards.find("DZ")?.is_some(),
        })
    }
}

/// The axes, `BITPIX`, and the length of the data, bytes.
fn sizes(cards: &Cards, first: bool, place: &str) -> Result<(Vec<usize>, i64, usize)> {
    let wrong = |what: String| Err(Error::input(place, what));
    let bits = cards.integer_at(1, "BITPIX")?;
    if ![8, 16, 32, 64, -32, -64].contains(&bits) {
        return wrong(format!("BITPIX is {bits}, expected 8, 16, 32, 64, -32 or -64"));
    }
    let naxis = cards.integer_at(2, "NAXIS")?;
    if !(0..=MOST_AXES as i64).contains(&naxis) {
        return wrong(format!("NAXIS is {naxis}, expected 0 to {MOST_AXES}"));
    }
    let mut axes = Vec::new();
    for i in 1..=naxis as usize {
        let key = format!("NAXIS{i}");
        let length = cards.integer_at(2 + i, &key)?;
        match usize::try_from(length) {
            Ok(length) => axes.push(length),
            Err(_) => return wrong(format!("{key} is {length}, expected a length")),
        }
    }
    let (mut extra, mut groups) = (0, 1);
    if !first {
        extra = cards.integer_at(3 + axes.len(), "PCOUNT")?;
        groups = cards.integer_at(4 + axes.len(), "GCOUNT")?;
    } else if cards.find("PCOUNT")?.is_some_and(|v| v != "0")
        || cards.find("GCOUNT")?.is_some_and(|v| v != "1")
        || cards.find("GROUPS")?.is_some_and(|v| v == "T")
    {
        return wrong("random groups are not maps; expected an image or a table".into());
    }
    let data_length = data_length(&axes, bits, extra, groups)
        .ok_or_else(|| Error::input(place, too_large(&axes, bits, extra, groups)))?;
    Ok((axes, bits, data_length))
}

/// Refuses keys that are there twice, which are two different claims, or beyond what there is, and compressed data.
fn check_claims(cards: &Cards, axes: usize, place: &str) -> Result<()> {
    for key in ["BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "TFIELDS", "XTENSION"] {
        cards.find(key)?;
    }
    for i in 1..=MOST_AXES {
        let key = format!("NAXIS{i}");
        if cards.find(&key)?.is_some() && i > axes {
            return Err(Error::input(place, format!("{key} is there, but NAXIS is {axes}")));
        }
    }
    if cards.find("ZIMAGE")?.is_some() || cards.find("ZTABLE")?.is_some() {
        let what = "tile-compressed data are not read; run funpack on the file first";
        return Err(Error::input(place, what));
    }
    Ok(())
}

/// Bytes of a data unit (FITS 4.0, equation 2); `None` where the numbers make no sense.
fn data_length(axes: &[usize], bits: i64, extra: i64, groups: i64) -> Option<usize> {
    if axes.is_empty() {
        return Some(0);
    }
    let extra = usize::try_from(extra).ok()?;
    let groups = usize::try_from(groups).ok().filter(|&g| g >= 1)?;
    let pixels = axes.iter().try_fold(1usize, |n, &a| n.checked_mul(a))?;
    let values = pixels.checked_add(extra)?.checked_mul(groups)?;
    values.checked_mul(bits.unsigned_abs() as usize / 8)
}

fn too_large(axes: &[usize], bits: i64, extra: i64, groups: i64) -> String {
    format!(
        "impossible size: axes {axes:?}, BITPIX {bits}, PCOUNT {extra}, GCOUNT {groups}; is the header damaged?"
    )
}

/// The columns of a binary table, whose widths have to add up to `NAXIS1`.
fn table(cards: &Cards, axes: &[usize], bits: i64, place: &str) -> Result<Content> {
    let &[width, rows] = axes else {
        return Err(Error::input(
            place,
            format!("a table with NAXIS = {}, expected 2", axes.len()),
        ));
    };
    if bits != 8 {
        return Err(Error::input(place, format!("a table with BITPIX = {bits}, expected 8")));
    }
    let fields = cards.integer_at(7, "TFIELDS")?;
    if !(0..=999).contains(&fields) {
        return Err(Error::input(place, format!("TFIELDS is {fields}, expected 0 to 999")));
    }
    let mut columns = Vec::new();
    let mut total = 0usize;
    for i in 1..=fields {
        let find = |key: &str| Ok(text_value(cards.find(&format!("{key}{i}"))?.unwrap_or("")));
        let form = find("TFORM")?;
        let (repeat, letter, bytes) = parse_form(&form).ok_or_else(|| {
            let form = printable(&form);
            Error::input(place, format!("TFORM{i} is '{form}', which is no column format"))
        })?;
        total = total.saturating_add(bytes);
        columns.push(Column { name: find("TTYPE")?, repeat, letter, unit: find("TUNIT")? });
    }
    if total != width {
        return Err(Error::input(
            place,
            format!("the columns are {total} bytes wide together, but NAXIS1 is {width}"),
        ));
    }
    Ok(Content::Table { rows, columns })
}

/// A binary table's `TFORM`: repeat count, letter, bytes in a row.
fn parse_form(form: &str) -> Option<(usize, char, usize)> {
    let digits = form.bytes().take_while(u8::is_ascii_digit).count();
    let repeat = match digits {
        0 => 1,
        _ => form[..digits].parse::<usize>().ok()?,
    };
    let mut rest = form[digits..].chars();
    let letter = rest.next()?;
    let rest = rest.as_str();
    let sound = match letter {
        // The width of substrings, `rAw`; CFITSIO divides by it.
        'A' if !rest.is_empty() => rest.parse::<usize>().is_ok_and(|w| (1..=repeat).contains(&w)),
        // The longest of the variable-length arrays, `rPt(e)`.
        'P' | 'Q' => true,
        _ => rest.is_empty(),
    };
    if !sound {
        return None;
    }
    let bytes = match letter {
        'X' => repeat.div_ceil(8),
        'L' | 'B' | 'A' => repeat,
        'I' => repeat.checked_mul(2)?,
        'J' | 'E' => repeat.checked_mul(4)?,
        'K' | 'D' | 'C' | 'P' => repeat.checked_mul(8)?,
        'M' | 'Q' => repeat.checked_mul(16)?,
        _ => return None,
    };
    Some((repeat, letter, bytes))
}

#[cfg(test)]
mod tests {
    use super::super::card::CARD;
    use super::*;

    fn header(cards: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for card in cards.iter().chain(&["END"]) {
            bytes.extend(format!("{card:<80}").bytes());
        }
        bytes
    }

    fn refusal(cards: &[&str], first: bool) -> String {
        let error = Header::parse(&header(cards), first, "x").unwrap_err();
        error.to_string()
    }

    #[test]
    fn the_size_of_an_image_is_the_product_of_its_axes() {
        let cards = [
            "SIMPLE  =                    T / standard",
            "BITPIX  =                  -64",
            "NAXIS   =                    2",
            "NAXIS1  =                   30 / u",
            "NAXIS2  =                   20",
            "EXTNAME = 'it''s / one'   / a name",
        ];
        let header = Header::parse(&header(&cards), true, "x").unwrap();
        assert_eq!(header.data_length, 4800);
        let expected = Content::Image { axes: vec![30, 20], floating: true };
        assert_eq!(header.content, expected);
        assert_eq!(header.name, "it's / one");
        assert_eq!(header.length, 7 * CARD);
    }

    #[test]
    fn claims_that_cannot_be_true_are_refused() {
        let image = |axis: &str| {
            refusal(
                &["SIMPLE  = T", "BITPIX  = -64", "NAXIS   = 2", axis, "NAXIS2  = 4000000000"],
                true,
            )
        };
        assert!(image("NAXIS1  = -5").contains("NAXIS1 is -5"));
        assert!(image("NAXIS1  = 4000000000000").contains("impossible size"));
        assert!(image("NAXIS1  = 1E3").contains("expected an integer"));
        assert!(image("NAXIS3  = 1").contains("expected NAXIS1"));
        assert!(image("NAXIS1  = 0").contains("0 long"));
        let naxis = |n: &str| refusal(&["SIMPLE  = T", "BITPIX  = 8", n], true);
        assert!(naxis("NAXIS   = -1").contains("NAXIS is -1"));
        assert!(naxis("NAXIS   = 1000000").contains("expected 0 to 9"));
        assert!(refusal(&["SIMPLE  = F"], true).contains("not T"));
        assert!(refusal(&["SIMPLE  = T", "BITPIX  = 7"], true).contains("BITPIX is 7"));
    }

    #[test]
    fn a_table_says_its_columns_and_their_widths_must_add_up() {
        let cards = |width: &'static str, form: &'static str| {
            vec![
                "XTENSION= 'BINTABLE'",
                "BITPIX  = 8",
                "NAXIS   = 2",
                width,
                "NAXIS2  = 3",
                "PCOUNT  = 0",
                "GCOUNT  = 1",
                "TFIELDS = 2",
                "TTYPE1  = 'U       '",
                "TFORM1  = 'D'",
                "TUNIT1  = 'rad'",
                "TTYPE2  = 'NAME'",
                form,
            ]
        };
        let good = header(&cards("NAXIS1  = 13", "TFORM2  = '5A'"));
        let Content::Table { rows, columns } = Header::parse(&good, false, "x").unwrap().content
        else {
            panic!("not a table");
        };
        assert_eq!(rows, 3);
        assert_eq!((columns[0].repeat, columns[0].letter), (1, 'D'));
        assert_eq!((columns[1].repeat, columns[1].letter), (5, 'A'));
        assert_eq!(columns[0].unit, "rad");
        assert!(refusal(&cards("NAXIS1  = 12", "TFORM2  = '5A'"), false).contains("13 bytes wide"));
        assert!(refusal(&cards("NAXIS1  = 13", "TFORM2  = '5Z'"), false).contains("'5Z'"));
        for form in ["TFORM2  = '5A0'", "TFORM2  = '5A6'", "TFORM2  = '5A-1'", "TFORM2  = '5B1'"] {
            let message = refusal(&cards("NAXIS1  = 13", form), false);
            assert!(message.contains("no column format"), "{form}: {message}");
        }
        let huge = refusal(&cards("NAXIS1  = 13", "TFORM2  = '18446744073709551615D'"), false);
        assert!(huge.contains("no column format"), "{huge}");
    }

    #[test]
    fn a_claim_made_twice_is_refused() {
        let cards = ["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0", "NAXIS   = 2"];
        assert!(refusal(&cards, true).contains("NAXIS is there twice"));
    }
}
