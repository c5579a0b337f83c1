//! The architecture of what `sam build` built here: Lambda accepts a binary for another one, and then cannot start it.

use std::{fs::File, io::Read, path::Path};

use serde_json::Value;

use super::Check;

/// Compares the function's bootstrap in this folder, if it was built, with the deployed configuration.
pub(super) fn check(name: &str, configuration: &Value) -> Option<Check> {
    let path = format!(".aws-sam/build/{name}Function/bootstrap");
    let built = architecture(Path::new(&path))?;
    let deployed = configuration["Architectures"][0].as_str().unwrap_or("x86_64");
    let what = format!("{name}, architecture");
    if built == deployed {
        return Some(Check::ok(what, format!("{deployed}, as {path}")));
    }
    Some(Check::problem(
        what,
        format!("{path} is built for {built}, and the function is deployed for {deployed}: it would not start"),
        "set Architecture under [….global.parameters] in samconfig.toml, which sam build and sam deploy both read, then \
         build again",
    ))
}

/// Lambda's name for the architecture of an ELF file. None if it is not an ELF file, or for another architecture.
fn architecture(path: &Path) -> Option<&'static str> {
    let mut header = [0; 20];
    File::open(path).ok()?.read_exact(&mut header).ok()?;
    match (&header[..4], u16::from_le_bytes([header[18], header[19]])) {
        (b"\x7fELF", 0xb7) => Some("arm64"),
        (b"\x7fELF", 0x3e) => Some("x86_64"),
        _ => None,
    }
}
