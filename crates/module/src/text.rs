//! The text format, accepted wherever a binary is.
//!
//! Decides by the first byte alone: a binary starts with NUL, and no text
//! does. Parsing text is left to the `wat` crate.

use crate::Error;
use std::borrow::Cow;

/// The binary form of `input`, which may be a binary or text.
///
/// # Errors
///
/// If the input is text that does not parse, or is neither of the two.
pub fn to_binary(input: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    match input.first() {
        Some(0) => Ok(Cow::Borrowed(input)),
        _ if looks_like_text(input) => parse(input).map(Cow::Owned),
        _ => Err(Error::not_wasm(input)),
    }
}

/// `input` if it is a binary, for those who take nothing else.
///
/// # Errors
///
/// If the input is text, or is neither of the two.
pub fn binary_only(input: &[u8]) -> Result<&[u8], Error> {
    match input.first() {
        Some(0) => Ok(input),
        _ if looks_like_text(input) => Err(Error::BinaryOnly),
        _ => Err(Error::not_wasm(input)),
    }
}

/// Text is UTF-8 that starts, after blanks and comments, with a parenthesis.
fn looks_like_text(input: &[u8]) -> bool {
    let input = without_mark(input);
    match input.iter().position(|b| !b.is_ascii_whitespace()) {
        Some(at) => matches!(input[at], b'(' | b';'),
        None => false,
    }
}

/// Some editors begin a text with a mark of its encoding.
fn without_mark(input: &[u8]) -> &[u8] {
    input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input)
}

#[cfg(feature = "wat")]
fn parse(input: &[u8]) -> Result<Vec<u8>, Error> {
    wat::parse_bytes(without_mark(input))
        .map(Cow::into_owned)
        .map_err(|error| Error::Text(error.to_string()))
}

#[cfg(not(feature = "wat"))]
fn parse(_: &[u8]) -> Result<Vec<u8>, Error> {
    Err(Error::TextUnsupported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_pass_through_untouched() {
        let binary = b"\0asm\x01\0\0\0";
        assert!(matches!(to_binary(binary), Ok(Cow::Borrowed(b)) if b == binary));
    }

    #[test]
    fn other_input_is_named_by_its_first_bytes() {
        assert_eq!(to_binary(b"").unwrap_err(), Error::NotWasm { start: vec![] });
        assert_eq!(
            to_binary(b"\x7fELF....").unwrap_err(),
            Error::NotWasm { start: b"\x7fELF".to_vec() }
        );
    }

    #[test]
    fn text_is_named_where_only_binaries_are_taken() {
        assert_eq!(binary_only(b"\0asm"), Ok(&b"\0asm"[..]));
        assert_eq!(binary_only(b" (module)"), Err(Error::BinaryOnly));
        assert_eq!(binary_only(b"MZ"), Err(Error::NotWasm { start: b"MZ".to_vec() }));
    }

    #[cfg(feature = "wat")]
    #[test]
    fn text_becomes_a_binary() {
        let binary = to_binary(b"\xef\xbb\xbf ;; a comment\n(module)").unwrap();
        assert_eq!(&binary[..4], b"\0asm");
    }
}
