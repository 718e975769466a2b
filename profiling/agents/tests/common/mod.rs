//! Code images for tests: names and ranges over bytes that are never run.

use wasmprof_image::{CodeImage, CodeOffset, LoadedImage, Pc, Symbol, SymbolKind};

/// An image of symbols with these names, of 24 bytes each, with 8 of padding
/// behind each.
pub(crate) fn image<'a>(name: &str, symbols: impl IntoIterator<Item = &'a str>) -> CodeImage {
    let symbols: Vec<Symbol> = symbols
        .into_iter()
        .enumerate()
        .map(|(i, name)| Symbol {
            start: CodeOffset(32 * i as u32),
            size: 24,
            kind: SymbolKind::Stub(name.into()),
        })
        .collect();
    CodeImage {
        name: name.into(),
        module: None,
        text: vec![0; 32 * symbols.len()],
        symbols,
        traps: Default::default(),
        handlers: Default::default(),
        locations: Default::default(),
    }
}

/// The image as if it were mapped at `base`.
pub(crate) fn loaded(image: &CodeImage, base: usize) -> LoadedImage<'_> {
    LoadedImage { image, base: Pc(base), len: image.text.len().next_multiple_of(4096) }
}
