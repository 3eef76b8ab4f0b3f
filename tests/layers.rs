//! A layer of `lib/` may use only those to its right in `LAYERS`: the rule that keeps automatic
//! differentiation free of telescopes, and telescopes free of files and flags.

use std::fs;
use std::path::{Path, PathBuf};

/// From the user to the machine.
const LAYERS: [&str; 7] = ["cli", "plot", "io", "fit", "optics", "autodiff", "device"];
/// Open to all, so they may use none of the layers.
const OPEN: [&str; 2] = ["error", "units"];

#[test]
fn every_layer_uses_only_those_to_its_right() {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("lib");
    let mut broken = Vec::new();
    let files = rust_files(&lib);
    for file in &files {
        let inside = file.strip_prefix(&lib).unwrap();
        let path = module_path(inside);
        let Some(layer) = path.first() else { continue };
        let text = fs::read_to_string(file).unwrap();
        for (line, used) in uses(&text, path.len()) {
            if !allowed(layer, &used) {
                broken.push(format!("lib/{}:{line}: {layer} uses {used}", inside.display()));
            }
        }
    }
    assert!(files.len() > 20, "only {} files found", files.len());
    assert!(
        broken.is_empty(),
        "a layer uses one to its left in {}:\n{}",
        LAYERS.join(" | "),
        broken.join("\n")
    );
}

#[test]
fn every_folder_of_the_library_is_a_layer() {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("lib");
    for entry in fs::read_dir(lib).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.trim_end_matches(".rs");
        assert!(
            name == "lib" || LAYERS.contains(&name) || OPEN.contains(&name),
            "lib/{name} has no place among the layers"
        );
    }
}

#[test]
fn a_use_is_found_however_it_is_written() {
    let found = |text, depth| -> Vec<(usize, String)> { uses(text, depth) };
    let one = |line, layer: &str| vec![(line, layer.to_owned())];
    assert_eq!(found("use crate::io::npy;", 2), one(1, "io"));
    assert_eq!(found("\nlet a = crate::plot::page(b);", 2), one(2, "plot"));
    assert_eq!(found("pub use crate :: fit as f;", 2), one(1, "fit"));
    assert_eq!(
        found("use crate::{\n    error::{Error, Result},\n    cli,\n};", 1),
        [(1, "error".to_owned()), (1, "cli".to_owned())]
    );
    assert_eq!(found("use super::super::io::npy;", 2), one(1, "io"));
    assert_eq!(
        found("use super::super::{fit, io::npy};", 2),
        [(1, "fit".to_owned()), (1, "io".to_owned())]
    );
    assert_eq!(found("use super::io::npy;", 2), []);
    assert_eq!(found("// crate::cli is not for us", 2), []);
    assert_eq!(found("/// See [`crate::cli`].", 2), []);
    assert_eq!(found("use mycrate::cli;", 2), []);
}

#[test]
fn left_is_forbidden_and_right_is_allowed() {
    assert!(allowed("fit", "autodiff") && allowed("fit", "fit") && allowed("io", "units"));
    assert!(!allowed("autodiff", "optics") && !allowed("fit", "io") && !allowed("error", "io"));
    assert!(allowed("units", "error") && allowed("optics", "Error"));
}

/// May `layer` use what is called `used` at the top of the crate?
fn allowed(layer: &str, used: &str) -> bool {
    let place = |name| LAYERS.iter().position(|&l| l == name);
    match (place(layer), place(used)) {
        // Not a layer but something open to all.
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(from), Some(to)) => to >= from,
    }
}

/// Line and name of everything at the top of the crate that `text`, a module `depth` levels down,
/// names by `crate::` or by enough `super::`. Comments do not count.
fn uses(text: &str, depth: usize) -> Vec<(usize, String)> {
    let code: Vec<&str> = text.lines().map(without_comment).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    let roots = [vec!["crate"], vec!["super"; depth]];
    for root in roots.iter().filter(|root| !root.is_empty()) {
        for (start, _) in code.match_indices(root[0]) {
            let before = code[..start].trim_end();
            let part_of_a_path = before.ends_with("::");
            let part_of_a_word = code[..start].ends_with(is_word);
            if part_of_a_path || part_of_a_word {
                continue;
            }
            let Some(rest) = after_root(&code[start..], root) else {
                continue;
            };
            let line = code[..start].matches('\n').count() + 1;
            found.extend(heads(rest).into_iter().map(|name| (line, name)));
        }
    }
    found
}

/// What follows `root::` where `text` begins with that.
fn after_root<'a>(mut text: &'a str, root: &[&str]) -> Option<&'a str> {
    for word in root {
        text = text.trim_start().strip_prefix(word)?;
        text = text.trim_start().strip_prefix("::")?;
    }
    Some(text.trim_start())
}

/// The first names of a path: one, or those of a group in braces.
fn heads(text: &str) -> Vec<String> {
    let Some(group) = text.strip_prefix('{') else {
        return word(text).into_iter().collect();
    };
    let mut names = Vec::new();
    let (mut depth, mut begins) = (0, true);
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && is_word(c) => {
                names.extend(word(&group[i..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

fn word(text: &str) -> Option<String> {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A line up to its comment. A `//` in a string cuts too much, which hides no `use`.
fn without_comment(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// `io/fits/mod.rs` is `[io, fits]`, `error.rs` is `[error]`, `lib.rs` is the root: `[]`.
fn module_path(file: &Path) -> Vec<String> {
    let mut path: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(path.last().map(String::as_str), Some("mod" | "lib")) {
        path.pop();
    }
    path
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
