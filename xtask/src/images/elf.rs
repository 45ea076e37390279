//! A look into a binary: for which machine it is, and whether it runs alone.

use super::arch::Arch;
use anyhow::{Context, bail};
use std::fs;
use std::path::Path;

const MAGIC: &[u8] = b"\x7fELF\x02\x01";
const SEGMENT_DYNAMIC: u32 = 2;
const SEGMENT_INTERPRETER: u32 = 3;
const TAG_NEEDED: u64 = 1;
const TAG_BYTES: usize = 16;

/// What is of interest in an ELF file of 64 bits, little-endian.
#[derive(Debug, PartialEq, Eq)]
struct Elf {
    machine: u16,
    /// Whether another program (`ld-linux…`) must load it.
    has_interpreter: bool,
    /// How many shared libraries it names.
    needed: usize,
}

/// # Errors
/// It is for another machine, or needs a loader or libraries: it would not start in an empty root.
pub(crate) fn check_static(binary: &Path, arch: Arch) -> anyhow::Result<()> {
    let path = binary.display();
    let bytes = fs::read(binary).with_context(|| path.to_string())?;
    let elf = parse(&bytes).with_context(|| format!("{path} is no ELF file of 64 bits"))?;
    if elf.machine != arch.elf_machine() {
        bail!(
            "{path} is for machine {} and not for {}",
            elf.machine,
            arch.name()
        );
    }
    if elf.has_interpreter || elf.needed > 0 {
        bail!("{path} is not static: {elf:?}");
    }
    Ok(())
}

fn parse(file: &[u8]) -> Option<Elf> {
    if !file.starts_with(MAGIC) {
        return None;
    }
    let mut elf = Elf {
        machine: u16_at(file, 18)?,
        has_interpreter: false,
        needed: 0,
    };
    let (table, size, count) = (usize_at(file, 32)?, u16_at(file, 54)?, u16_at(file, 56)?);
    for index in 0..usize::from(count) {
        let header = file.get(table + index * usize::from(size)..)?;
        match u32_at(header, 0)? {
            SEGMENT_INTERPRETER => elf.has_interpreter = true,
            SEGMENT_DYNAMIC => {
                let (start, length) = (usize_at(header, 8)?, usize_at(header, 32)?);
                elf.needed = needed(file.get(start..start.checked_add(length)?)?);
            }
            _ => {}
        }
    }
    Some(elf)
}

fn needed(dynamic: &[u8]) -> usize {
    let tags = dynamic.chunks_exact(TAG_BYTES);
    tags.filter(|tag| u64_at(tag, 0) == Some(TAG_NEEDED))
        .count()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn usize_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64_at(bytes, at)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_a_dynamic_binary_of_this_machine() {
        let this = std::env::current_exe().unwrap();
        let elf = parse(&fs::read(&this).unwrap()).unwrap();
        assert_eq!(elf.machine, Arch::of_this_machine().elf_machine());
        assert!(elf.has_interpreter && elf.needed > 0, "{elf:?}");
        let refused = check_static(&this, Arch::of_this_machine()).unwrap_err();
        assert!(refused.to_string().contains("is not static"), "{refused}");
    }

    #[test]
    fn a_header_alone_is_static_and_a_cut_one_is_refused() {
        let mut file = [MAGIC, &[0; 58]].concat();
        file[18] = 183;
        let expected = Elf {
            machine: 183,
            has_interpreter: false,
            needed: 0,
        };
        assert_eq!(parse(&file), Some(expected));
        // Says that a program header follows.
        file[56] = 1;
        file[32] = 64;
        assert_eq!(parse(&file), None);
        assert_eq!(parse(b"#!/bin/sh"), None);
    }
}
