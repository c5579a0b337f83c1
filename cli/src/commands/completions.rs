//! `hookgate completions`: what makes a shell complete this command's names and options.

use clap_complete::Shell;

use crate::error::UsageError;

/// Print a script that makes your shell complete this command.
#[allow(clippy::doc_markdown, reason = "help is shown as it is written")]
#[derive(Debug, clap::Args)]
#[command(after_help = "Where it goes, and a new shell after it:
  bash        hookgate completions bash > ~/.local/share/bash-completion/completions/hookgate
  zsh         hookgate completions zsh > ~/.zfunc/_hookgate
              with fpath+=~/.zfunc before compinit in ~/.zshrc
  fish        hookgate completions fish > ~/.config/fish/completions/hookgate.fish
  elvish      hookgate completions elvish >> ~/.config/elvish/rc.elv
  powershell  hookgate completions powershell >> $PROFILE")]
pub struct Arguments {
    /// The shell.
    shell: Shell,
}

/// Prints the script for `command`, the whole command line.
///
/// # Errors
/// Standard output cannot be written to.
pub fn run(arguments: &Arguments, mut command: clap::Command) -> anyhow::Result<bool> {
    // Not straight to standard output: that would panic where the reader is gone.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "hookgate", &mut script);
    match std::io::Write::write_all(&mut std::io::stdout(), &script) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow!("cannot write the script: {error}"))
        }
        _ => Ok(true),
    }
}
