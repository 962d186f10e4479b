//! Names: the keys of their hash, and what the table says of each.

/// Different label counts that the names of one node may have: each costs one look-up a query.
pub const MAX_LABEL_COUNTS: usize = 8;

/// What the names of the table end in: what ends otherwise is not ours.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suffixes {
    /// Bits of the last 8 octets of names that have as many.
    pub long: u64,
    /// Bits of the last 2 octets of the others.
    pub short: u64,
}

/// The keys of the name hash and of the choice of limit buckets. Root only, outlives the daemon.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Secret {
    /// Start of the first lane.
    pub seed_a: u64,
    /// Start of the second lane.
    pub seed_b: u64,
    /// Odd multiplier of the first lane.
    pub multiplier_a: u64,
    /// Odd multiplier of the second lane.
    pub multiplier_b: u64,
}

/// A name's hash as a key.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NameKey {
    /// First lane of the hash.
    pub a: u64,
    /// Second lane of the hash.
    pub b: u64,
}

/// What a name is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NameRole {
    /// DNS-B, form R: referral at or below it.
    BReferral = 1,
    /// DNS-B, form C: CNAME at it, referrals at and below its DNS-LB labels.
    BCname = 2,
    /// DNS-B, direct or cache mode: addresses at it.
    BAddress = 3,
    /// DNS-B: a zone's apex.
    BApex = 4,
    /// DNS-B: a name with data of its own, which user space gives.
    BPresent = 5,
    /// DNS-B: an empty non-terminal (RFC 4592 §2.2.2).
    BEmpty = 6,
    /// DNS-LB, form R: answers at and below it.
    LbReferral = 7,
    /// DNS-LB, form C: answers at and below its DNS-LB labels.
    LbCname = 8,
}

impl NameRole {
    /// The role that a number stands for.
    #[inline(always)]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::BReferral),
            2 => Some(Self::BCname),
            3 => Some(Self::BAddress),
            4 => Some(Self::BApex),
            5 => Some(Self::BPresent),
            6 => Some(Self::BEmpty),
            7 => Some(Self::LbReferral),
            8 => Some(Self::LbCname),
            _ => None,
        }
    }
}

/// What a name's entry says.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameValue {
    /// A [`NameWord`]; zero: no name.
    pub word: u32,
    /// Index of the service in the node's configuration, for people; of other names `u32::MAX`.
    pub service: u32,
}

/// Element of `names`: a slot of the perfect hash ([`crate::name_index`]).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameSlot {
    /// The whole hash, to compare.
    pub key: NameKey,
    /// The entry.
    pub value: NameValue,
}

/// The word of [`NameValue`]: role (8 bits), flags (4), group (20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameWord(pub u32);

impl NameWord {
    /// Groups that a node can have.
    pub const MAX_GROUPS: u32 = 1 << 20;
    /// Flag: the zone is complete: what is below this name and not in the table does not exist.
    pub const COMPLETE: u32 = 1 << 20;
    /// Flag of [`NameRole::LbCname`]: the name itself is answered too (DNS-ISP-LB).
    pub const ITSELF: u32 = 1 << 21;

    /// Puts the word together; `group` is below [`Self::MAX_GROUPS`], `flags` are those above.
    pub const fn new(role: NameRole, flags: u32, group: u32) -> Self {
        Self((role as u32) << 24 | flags | group & (Self::MAX_GROUPS - 1))
    }

    /// Role, as a number for [`NameRole::from_u8`].
    #[inline(always)]
    pub const fn role(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// Whether a flag is set.
    #[inline(always)]
    pub const fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    /// Group of names with the same answers.
    #[inline(always)]
    pub const fn group(self) -> u32 {
        self.0 & (Self::MAX_GROUPS - 1)
    }
}
