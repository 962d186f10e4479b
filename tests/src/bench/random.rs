//! Numbers that look random and are the same in every run: SplitMix64 (Steele, Lea, Flood, "Fast
//! splittable pseudorandom number generators", 2014).

use std::net::Ipv4Addr;

/// The generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`, which is far below 2⁶⁴: its share of the remainder is not felt.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from 0 to below 1.
    pub fn fraction(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An address, each unicast address alike: 1.0.0.0 to 223.255.255.255 without 127/8.
    pub fn unicast(&mut self) -> Ipv4Addr {
        const EIGHT: u32 = 1 << 24;
        let address = EIGHT + self.below(222 * u64::from(EIGHT)) as u32;
        Ipv4Addr::from(if address < 127 * EIGHT {
            address
        } else {
            address + EIGHT
        })
    }

    /// Eight letters and digits, as a label has them.
    pub fn label(&mut self) -> [u8; 8] {
        const LETTERS: [u8; 32] = *b"abcdefghijklmnopqrstuvwxyz234567";
        let bits = self.number();
        std::array::from_fn(|at| LETTERS[(bits >> (at * 5)) as usize & 31])
    }
}

/// Draws of ranks from 0, the rank r with a share of 1 ÷ (r + 1): Zipf's law with s = 1.
#[derive(Clone, Debug)]
pub struct Zipf {
    /// Shares of all ranks up to each, not scaled to 1.
    sums: Vec<f64>,
}

impl Zipf {
    /// Over so many ranks.
    pub fn new(ranks: usize) -> Self {
        let mut sum = 0.0;
        let shares = (1..=ranks).map(|rank| 1.0 / rank as f64);
        Self {
            sums: shares
                .map(|share| {
                    sum += share;
                    sum
                })
                .collect(),
        }
    }

    /// A rank.
    pub fn draw(&self, random: &mut Random) -> usize {
        let whole = self.sums.last().copied().unwrap_or_default();
        let drawn = random.fraction() * whole;
        let rank = self.sums.partition_point(|sum| *sum <= drawn);
        rank.min(self.sums.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_paper() {
        // First outputs of the published reference code for seed 1234567.
        let mut random = Random::new(1_234_567);
        let drawn: [u64; 3] = std::array::from_fn(|_| random.number());
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn addresses_are_unicast_and_from_everywhere() {
        let mut random = Random::new(1);
        let mut seen = [0_u32; 256];
        for _ in 0..222_000 {
            seen[usize::from(random.unicast().octets()[0])] += 1;
        }
        for (octet, count) in seen.iter().enumerate() {
            match octet {
                1..=126 | 128..=223 => assert!((800..1200).contains(count), "{octet}: {count}"),
                _ => assert_eq!(*count, 0, "{octet}"),
            }
        }
    }

    #[test]
    fn shares_fall_as_the_rank_grows() {
        let (zipf, mut random) = (Zipf::new(50_000), Random::new(2));
        let mut seen = vec![0_u32; 50_000];
        for _ in 0..1_000_000 {
            seen[zipf.draw(&mut random)] += 1;
        }
        // The harmonic number of 50,000 is 11.397: the first has 87,740 in a million.
        for (rank, expected) in [(0, 87_740), (1, 43_870), (9, 8774)] {
            let off = seen[rank].abs_diff(expected);
            assert!(off < expected / 10, "rank {rank}: {}", seen[rank]);
        }
        assert!(seen[25_000..].iter().sum::<u32>() > 50_000, "a long tail");
    }
}
