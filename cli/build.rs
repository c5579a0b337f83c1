//! Puts the samples under `events/` into the binary, so that an installed one has them too.
//!
//! A build script and not a macro: cargo then notices new files in the folders.

#![allow(clippy::unnecessary_debug_formatting, reason = "Rust's escapes are what a Rust literal needs")]

use std::{
    error::Error,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let package = std::env::var("CARGO_MANIFEST_DIR")?;
    let out = std::env::var("OUT_DIR")?;

    let events = Path::new(&package).join("../events").canonicalize()?;
    println!("cargo::rerun-if-changed={}", events.display());
    let mut code = format!(
        "/// `events/secrets.json`.\npub static SECRETS: &str = include_str!({:?});\n\
         /// Every sample: `{{provider}}/{{name}}`, and the invocation.\npub static SAMPLES: &[(&str, &str)] = &[\n",
        events.join("secrets.json")
    );
    for folder in sorted(&events)?.iter().filter(|path| path.is_dir()) {
        let provider = folder.file_name().unwrap_or_default();
        for file in sorted(folder)? {
            let name = Path::new(provider).join(file.file_stem().unwrap_or_default());
            writeln!(code, "    ({name:?}, include_str!({file:?})),")?;
        }
    }
    code.push_str("];\n");
    fs::write(Path::new(&out).join("samples.rs"), code)?;
    Ok(())
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort();
    Ok(paths)
}
