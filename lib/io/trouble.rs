//! The system's error messages, in our style.

use std::io;

/// The same error with a message in lower case and without the system's number:
/// `no such file or directory`.
pub fn plain(error: io::Error) -> io::Error {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    let text: String = match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => return error,
    };
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_stays_and_the_number_goes() {
        let plain = plain(io::Error::from_raw_os_error(libc::EPIPE));
        assert_eq!(plain.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(plain.to_string(), "broken pipe");
    }
}
