//! What `sam build` has built here, beside what is deployed: Lambda takes a binary for another architecture, and then
//! cannot start it.

use std::{fs::File, io::Read, path::Path};

use serde_json::Value;

use super::Checks;

/// Compares the function's built bootstrap, where there is one in this folder, with its deployed configuration.
pub(super) fn check(checks: &mut Checks, name: &str, configuration: &Value) {
    let path = format!(".aws-sam/build/{name}Function/bootstrap");
    let Some(built) = architecture(Path::new(&path)) else { return };
    let deployed = configuration["Architectures"][0].as_str().unwrap_or("x86_64");
    let what = format!("{name}, architecture");
    if built == deployed {
        return checks.ok(&what, format!("{deployed}, as {path}"));
    }
    checks.problem(
        &what,
        format!("{path} is built for {built}, and the function is deployed for {deployed}: it would not start"),
        "set Architecture under [….global.parameters] in samconfig.toml, where sam build and sam deploy both read it; then \
         build again",
    );
}

/// The machine of an ELF file, by Lambda's name for it. None where it is no such file.
fn architecture(path: &Path) -> Option<&'static str> {
    let mut header = [0; 20];
    File::open(path).ok()?.read_exact(&mut header).ok()?;
    match (&header[..4], u16::from_le_bytes([header[18], header[19]])) {
        (b"\x7fELF", 0xb7) => Some("arm64"),
        (b"\x7fELF", 0x3e) => Some("x86_64"),
        _ => None,
    }
}
