//! For which machine a binary is, by its ELF header.

use super::Arch;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The architecture; `None` for another one, and for what is no 64-bit little-endian binary.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn machine(path: &Path) -> io::Result<Option<Arch>> {
    let mut header = [0; 20];
    match File::open(path)?.read_exact(&mut header) {
        Ok(()) => Ok(machine_of(&header)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Magic, class 2 (64 bits), data 1 (little-endian); `e_machine` at 18.
fn machine_of(header: &[u8; 20]) -> Option<Arch> {
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    match u16::from_le_bytes([header[18], header[19]]) {
        0x3e => Some(Arch::Amd64),
        0xb7 => Some(Arch::Arm64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_tells_its_machine() {
        let mut header = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0";
        assert_eq!(machine_of(&header), Some(Arch::Amd64));
        header[18] = 0xb7;
        assert_eq!(machine_of(&header), Some(Arch::Arm64));
        header[18] = 0x28;
        assert_eq!(machine_of(&header), None);
        assert_eq!(machine_of(b"#!/bin/sh\nexec true\n"), None);
    }
}
