//! The cards of a FITS header: 80 characters each, a keyword and perhaps a value.

use crate::error::{Error, Result};

/// The length of a card, bytes.
pub const CARD: usize = 80;

/// The cards of a header, keyword and value, and the length up to and with `END`.
pub struct Cards<'a> {
    cards: Vec<(&'a str, &'a str)>,
    pub length: usize,
    place: &'a str,
}

impl<'a> Cards<'a> {
    pub fn parse(bytes: &'a [u8], place: &'a str) -> Result<Self> {
        let mut cards = Vec::new();
        for (i, card) in bytes.chunks_exact(CARD).enumerate() {
            let text = str::from_utf8(card).ok().filter(|t| t.is_ascii());
            let Some(text) = text.filter(|t| t.bytes().all(|b| (b' '..=b'~').contains(&b))) else {
                return Err(Error::input(
                    place,
                    format!("card {} of the header is not plain text", i + 1),
                ));
            };
            let keyword = text[..8].trim_end();
            if keyword == "END" && text[8..].trim().is_empty() {
                let length = (i + 1) * CARD;
                return Ok(Cards { cards, length, place });
            }
            let value = if &text[8..10] == "= " { value_part(&text[10..]) } else { "" };
            cards.push((keyword, value));
        }
        Err(Error::input(place, "the header has no END card; is the file truncated?"))
    }

    /// The value of card `i`, which has to have this keyword.
    pub fn at(&self, i: usize, keyword: &str) -> Result<&'a str> {
        match self.cards.get(i) {
            Some(&(found, value)) if found == keyword => Ok(value),
            Some((found, _)) => Err(Error::input(
                self.place,
                format!("card {} is '{found}', expected {keyword}", i + 1),
            )),
            None => Err(Error::input(self.place, format!("the header has no {keyword}"))),
        }
    }

    pub fn integer_at(&self, i: usize, keyword: &str) -> Result<i64> {
        let value = self.at(i, keyword)?;
        value.parse().map_err(|_| {
            Error::input(self.place, format!("{keyword} is '{value}', expected an integer"))
        })
    }

    /// The value of a keyword, if it is there; twice is an error.
    pub fn find(&self, keyword: &str) -> Result<Option<&'a str>> {
        let mut found = self.cards.iter().filter(|c| c.0.eq_ignore_ascii_case(keyword));
        let value = found.next().map(|c| c.1);
        match found.next() {
            Some(_) => Err(Error::input(self.place, format!("{keyword} is there twice"))),
            None => Ok(value),
        }
    }
}

/// A card's value without its comment: up to the slash that is not inside quotes.
fn value_part(text: &str) -> &str {
    let mut quoted = false;
    let end = text.bytes().position(|b| {
        quoted ^= b == b'\'';
        b == b'/' && !quoted
    });
    text[..end.unwrap_or(text.len())].trim()
}

/// A quoted string's content; blanks at its end do not count.
pub fn text_value(value: &str) -> String {
    let inner = value.strip_prefix('\'').unwrap_or(value);
    let inner = inner.strip_suffix('\'').unwrap_or(inner);
    inner.replace("''", "'").trim_end().to_string()
}

/// Foreign text, fit for a message.
pub fn printable(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}
