//! How the frames of an interface are shared among several sockets (`PACKET_FANOUT`).
//!
//! By the pair of outermost IP addresses, in the same way on each interface: so all of a flow, in both directions, of both
//! legs of a tap, with its IP fragments and whatever tunnel it goes through, reaches the same engine. The kernel's own hash
//! of flows takes ports and tunnels into account, and so tears fragments and tunnels from what they belong to.

use libc::{BPF_A, BPF_ABS, BPF_ALU, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_MISC, BPF_MUL, BPF_RET, BPF_RSH};
use libc::{BPF_TAX, BPF_W, BPF_X, BPF_XOR, SKF_AD_OFF, SKF_AD_PROTOCOL, SKF_NET_OFF};

use crate::socket::Instruction;

const ETHERTYPE_IPV4: u32 = 0x0800;
const ETHERTYPE_IPV6: u32 = 0x86DD;
const ETHERTYPES_VLAN: [u32; 3] = [0x8100, 0x88A8, 0x9100];
/// Tags looked behind; the kernel has taken one off before.
const MOST_TAGS: u32 = 3;
/// Words that hold both addresses, behind the beginning of the header.
const WORDS_IPV4: [u32; 2] = [12, 16];
const WORDS_IPV6: [u32; 8] = [8, 12, 16, 20, 24, 28, 32, 36];

/// A socket that gets only a share of an interface's frames. The sockets of each interface must open in the same order.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// The group of the interface; None for the first of its sockets, which founds it.
    pub group: Option<u16>,
    /// Random, odd, the same for all: nobody outside can know which addresses meet.
    pub multiplier: u32,
}

/// The program that tells which socket gets a frame: its result, modulo the number of sockets. What is not IP, or does not
/// reach so far, goes to the first.
pub(crate) fn by_addresses(multiplier: u32) -> Vec<Instruction> {
    let mut program = vec![load(BPF_W, (SKF_AD_OFF + SKF_AD_PROTOCOL) as u32)];
    for tags in 0..=MOST_TAGS {
        let header = SKF_NET_OFF as u32 + 4 * tags;
        for (ethertype, words) in [(ETHERTYPE_IPV4, &WORDS_IPV4[..]), (ETHERTYPE_IPV6, &WORDS_IPV6[..])] {
            let hash = hash_of(header, words, multiplier);
            program.push(unless(ethertype, hash.len() as u8));
            program.extend(hash);
        }
        if tags < MOST_TAGS {
            // to the load behind the return: over what is left of these comparisons, and the return
            for (left, ethertype) in (1..=ETHERTYPES_VLAN.len() as u8).rev().zip(ETHERTYPES_VLAN) {
                program.push(((BPF_JMP | BPF_JEQ | BPF_K) as u16, left, 0, ethertype));
            }
            program.push(give(0));
            program.push(load(BPF_H, header + 2));
        }
    }
    program.push(give(0));
    program
}

/// Let nothing pass.
pub(crate) fn nothing() -> [Instruction; 1] {
    [give(0)]
}

fn hash_of(header: u32, words: &[u32], multiplier: u32) -> Vec<Instruction> {
    let mut program = vec![load(BPF_W, header + words[0])];
    for word in &words[1..] {
        program.push(((BPF_MISC | BPF_TAX) as u16, 0, 0, 0));
        program.push(load(BPF_W, header + word));
        program.push(((BPF_ALU | BPF_XOR | BPF_X) as u16, 0, 0, 0));
    }
    program.push(((BPF_ALU | BPF_MUL | BPF_K) as u16, 0, 0, multiplier));
    program.push(((BPF_ALU | BPF_RSH | BPF_K) as u16, 0, 0, 16));
    program.push(((BPF_RET | BPF_A) as u16, 0, 0, 0));
    program
}

fn load(size: u32, at: u32) -> Instruction {
    ((BPF_LD | size | BPF_ABS) as u16, 0, 0, at)
}

/// Go on if it is that, else pass over so many.
fn unless(value: u32, over: u8) -> Instruction {
    ((BPF_JMP | BPF_JEQ | BPF_K) as u16, 0, over, value)
}

fn give(value: u32) -> Instruction {
    ((BPF_RET | BPF_K) as u16, 0, 0, value)
}

#[cfg(test)]
mod tests {
    use super::by_addresses;
    use libc::{BPF_JEQ, BPF_JMP, BPF_K};

    #[test]
    fn every_jump_lands_within_the_program() {
        let program = by_addresses(0x9E37_79B1);
        assert!(program.len() < 4096, "the kernel takes no more");
        for (at, (code, when, unless, _)) in program.iter().enumerate() {
            if u32::from(*code) == BPF_JMP | BPF_JEQ | BPF_K {
                assert!(at + 1 + usize::from(*when.max(unless)) < program.len());
            }
        }
    }
}
