//! Each rule, by an image that it refuses and one that it lets pass.

use super::*;
use migration::audit::{Level, Mode};

const P: u64 = 1;
const RW: u64 = 2;

fn entry(page: Pfn, flags: u64) -> u64 {
    page << 12 | flags
}

/// All orders of `n` things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for short in orders(n - 1) {
        for place in 0..n {
            let mut order = short.clone();
            order.insert(place, n - 1);
            all.push(order);
        }
    }
    all
}

/// The kernel's tables, in use by vCPU 0, as NetBSD lays them out: the kernel's L1s hang below the
/// L2 in slot 3.
fn running_kernel(image: &mut Image) -> Vec<Pfn> {
    let (root, l2, l1s) = (10, [11, 12, 13, 14], [15, 16]);
    for (slot, l2) in (0u16..).zip(l2) {
        image.set(root, slot, entry(l2, P));
    }
    for (slot, l1) in (0u16..).zip(l1s) {
        image.set(14, slot, entry(l1, P | RW));
        image.set(l1, 0, entry(20 + u64::from(slot), P | RW));
    }
    image.roots.push(vec![root]);
    l1s.to_vec()
}

/// One cached set: `pfn[i]` is the PFN of its L2 number `i`; number 3 has the kernel's L1s,
/// `holder` the window.
fn cached_set(image: &mut Image, kernel: &[Pfn], pfn: [Pfn; 4], holder: usize) {
    for (slot, l1) in (0u16..).zip(kernel) {
        image.set(pfn[3], slot, entry(*l1, P | RW));
    }
    for (slot, target) in (100u16..).zip(pfn) {
        image.set(pfn[holder], slot, entry(target, P));
    }
    for page in pfn {
        image.pages.entry(page).or_default();
        image.pinned.insert(page, Level::L2);
    }
}

/// How many of the 24 orders of one set restore, fail with EBUSY, fail with EINVAL.
fn counts(holder: usize) -> (u32, u32, u32) {
    let mut counts = (0, 0, 0);
    for order in orders(4) {
        let mut image = Image::new(Mode::Pae);
        let kernel = running_kernel(&mut image);
        let pfn = [0, 1, 2, 3].map(|i: usize| 100 + order[i] as Pfn);
        cached_set(&mut image, &kernel, pfn, holder);
        let verdict = image.restore();
        match verdict.error() {
            None => counts.0 += 1,
            Some(Errno::Ebusy) => counts.1 += 1,
            Some(Errno::Einval) => counts.2 += 1,
        }
        // It restores exactly when the holder has the highest PFN.
        assert_eq!(
            verdict == Verdict::Restores,
            order[holder] == 3,
            "{order:?}"
        );
    }
    counts
}

#[test]
fn the_16_type_nibbles() {
    let tables: Vec<u8> = (0..16).filter(|bits| table_type(*bits).is_some()).collect();
    assert_eq!(tables, [1, 2, 3, 4, 9, 10, 11, 12]);
    for bits in tables {
        let (level, pinned) = table_type(bits).unwrap();
        assert_eq!(level as u8 | u8::from(pinned) << 3, bits);
    }
}

#[test]
fn the_24_orders_of_one_set() {
    for holder in 0..3 {
        assert_eq!(counts(holder), (6, 12, 6), "holder {holder}");
    }
    assert_eq!(counts(3), (6, 0, 18));
}

#[test]
fn without_the_window_every_order_restores() {
    for order in orders(4) {
        let mut image = Image::new(Mode::Pae);
        let kernel = running_kernel(&mut image);
        let pfn = [0, 1, 2, 3].map(|i: usize| 100 + order[i] as Pfn);
        cached_set(&mut image, &kernel, pfn, 3);
        for slot in 100..104 {
            image.set(pfn[3], slot, 0);
        }
        assert_eq!(image.restore(), Verdict::Restores);
    }
}

#[test]
fn an_active_holder_must_have_the_highest_slot() {
    for (holder, restores) in [(3usize, true), (2, false), (0, false)] {
        let mut image = Image::new(Mode::Pae);
        running_kernel(&mut image);
        let pfn = [11, 12, 13, 14];
        for (slot, target) in (200u16..).zip(pfn) {
            image.set(pfn[holder], slot, entry(target, P));
        }
        let verdict = image.restore();
        assert_eq!(
            verdict == Verdict::Restores,
            restores,
            "{holder}: {verdict:?}"
        );
        if !restores {
            assert!(matches!(verdict, Verdict::Vcpu { vcpu: 0, .. }));
        }
    }
}

#[test]
fn linear_entries_are_read_only_one_deep_and_can_be_switched_off() {
    let base = |image: &mut Image| {
        for page in [1, 2, 3] {
            image.pages.entry(page).or_default();
            image.pinned.insert(page, Level::L2);
        }
    };
    // 2 holds 1: fine.
    let mut image = Image::new(Mode::Long);
    base(&mut image);
    image.set(2, 0, entry(1, P));
    assert_eq!(image.restore(), Verdict::Restores);
    // ... and 3 holds 2, which holds entries itself: refused.
    let mut deep = image.clone();
    deep.set(3, 0, entry(2, P));
    assert_eq!(deep.restore().error(), Some(Errno::Einval));
    // Writable: refused.
    let mut writable = image.clone();
    writable.set(2, 0, entry(1, P | RW));
    assert_eq!(writable.restore().error(), Some(Errno::Einval));
    // Switched off: refused, the self entry too.
    let mut off = image.clone();
    off.linear = false;
    assert_eq!(off.restore().error(), Some(Errno::Einval));
    off.set(2, 0, entry(2, P));
    assert_eq!(off.restore().error(), Some(Errno::Einval));
    off.linear = true;
    assert_eq!(off.restore(), Verdict::Restores);
}

#[test]
fn two_holders_may_share_a_target() {
    let mut image = Image::new(Mode::Long);
    for page in [1, 2, 3] {
        image.pages.entry(page).or_default();
        image.pinned.insert(page, Level::L2);
    }
    image.set(2, 0, entry(1, P));
    image.set(3, 0, entry(1, P));
    assert_eq!(image.restore(), Verdict::Restores);
    // And when one of them goes, the target is as it was for the other.
    let mut types = Types::new(&image);
    for page in [1, 2, 3] {
        types.pin(page, Level::L2).unwrap();
    }
    assert_eq!(types.of(1), (Type::Table(Level::L2), 3));
    assert!(types.unpin(2));
    assert_eq!(types.of(1), (Type::Table(Level::L2), 2));
    types.pin(2, Level::L2).unwrap();
    assert_eq!(types.of(1), (Type::Table(Level::L2), 3));
}

#[test]
fn an_entry_to_writable_memory_is_no_linear_entry() {
    let mut image = Image::new(Mode::Pae);
    running_kernel(&mut image);
    image.set(100, 0, entry(20, P));
    image.pinned.insert(100, Level::L2);
    assert_eq!(
        image.restore(),
        Verdict::Pin {
            page: 100,
            error: Errno::Einval,
            refusal: Refusal {
                page: 20,
                slot: None,
                why: Why::OtherType {
                    is: Type::Writable,
                    wanted: Type::Table(Level::L1)
                }
            }
        }
    );
}

#[test]
fn a_32_bit_root_may_not_be_linear() {
    let mut image = Image::new(Mode::Pae);
    running_kernel(&mut image);
    image.set(50, 0, entry(10, P));
    image.set(50, 3, entry(51, P));
    image.pinned.insert(50, Level::L3);
    assert_eq!(image.restore().error(), Some(Errno::Einval));
    image.mode = Mode::Long;
    image.roots.clear();
    image.pinned.insert(10, Level::L3);
    assert_eq!(image.restore(), Verdict::Restores);
}

#[test]
fn the_refusal_names_the_place() {
    let mut image = Image::new(Mode::Pae);
    let kernel = running_kernel(&mut image);
    // Holder 2 lowest: the kernel's L2 is taken for an L1 whose first entry maps a page table
    // writable.
    cached_set(&mut image, &kernel, [101, 102, 100, 103], 2);
    assert_eq!(
        image.restore(),
        Verdict::Pin {
            page: 100,
            error: Errno::Ebusy,
            refusal: Refusal {
                page: 103,
                slot: Some(0),
                why: Why::OtherType {
                    is: Type::Table(Level::L1),
                    wanted: Type::Writable
                }
            }
        }
    );
    // Holder 3 lowest: the first empty L2 became an L1, and is then to be pinned as an L2.
    let mut image = Image::new(Mode::Pae);
    let kernel = running_kernel(&mut image);
    cached_set(&mut image, &kernel, [101, 102, 103, 100], 3);
    match image.restore() {
        Verdict::Pin {
            page: 101, refusal, ..
        } => assert_eq!(
            refusal.why,
            Why::OtherType {
                is: Type::Table(Level::L1),
                wanted: Type::Table(Level::L2)
            }
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn slot_3_of_a_pae_root() {
    let mut image = Image::new(Mode::Pae);
    running_kernel(&mut image);
    // A plain pin on the L2 of slot 3 is refused ...
    let mut pinned = image.clone();
    pinned.pinned.insert(14, Level::L2);
    assert_eq!(pinned.restore().error(), Some(Errno::Einval));
    // ... on the others it is not.
    let mut pinned = image.clone();
    pinned.pinned.insert(13, Level::L2);
    assert_eq!(pinned.restore(), Verdict::Restores);
    // It may not be shared by two roots, nor be missing.
    let mut shared = image.clone();
    shared.set(30, 3, entry(14, P));
    shared.roots.push(vec![30]);
    assert!(matches!(
        shared.restore(),
        Verdict::Vcpu {
            vcpu: 1,
            refusal: Refusal {
                why: Why::Slot3Shared,
                ..
            },
            ..
        }
    ));
    let mut missing = image.clone();
    missing.set(10, 3, 0);
    assert_eq!(missing.restore().error(), Some(Errno::Einval));
    // The same L2 elsewhere in a 64-bit domain is an L2 like any other.
    let mut long = Image::new(Mode::Long);
    long.set(40, 0, entry(10, P));
    long.set(10, 3, entry(14, P));
    long.roots.push(vec![40]);
    long.pinned.insert(14, Level::L2);
    assert_eq!(long.restore(), Verdict::Restores);
}

#[test]
fn xens_slots_are_not_looked_at() {
    let mut image = Image::new(Mode::Pae);
    running_kernel(&mut image);
    let mut xens = image.clone();
    xens.set(14, 428, entry(14, P | RW));
    assert_eq!(xens.restore(), Verdict::Restores);
    let mut ours = image.clone();
    ours.set(14, 427, entry(14, P | RW));
    assert!(ours.restore().error().is_some());
    let mut other = image.clone();
    other.set(13, 428, entry(14, P | RW));
    assert!(other.restore().error().is_some());
}

#[test]
fn xens_slots_are_not_given_back_either() {
    let mut image = Image::new(Mode::Pae);
    running_kernel(&mut image);
    image.set(14, 428, entry(15, P));
    image.set(14, 429, entry(99, P));
    let mut types = Types::new(&image);
    types.pin(10, Level::L3).unwrap();
    assert_eq!(types.of(14), (Type::PaeXenL2, 1));
    assert_eq!(types.of(15), (Type::Table(Level::L1), 1));
    assert!(types.unpin(10));
    for page in [10, 11, 14, 15, 20, 99] {
        assert_eq!(types.of(page), (Type::None, 0));
    }
}

#[test]
fn verdicts_in_words() {
    assert_eq!((Errno::Ebusy.number(), Errno::Einval.number()), (16, 22));
    let refusal = |slot, why| {
        Refusal {
            page: 0x67,
            slot,
            why,
        }
        .to_string()
    };
    assert_eq!(
        refusal(
            Some(3),
            Why::OtherType {
                is: Type::Table(Level::L1),
                wanted: Type::Writable
            }
        ),
        "page 0x67 slot 3: is L1, writable was asked for"
    );
    assert_eq!(
        refusal(
            None,
            Why::OtherType {
                is: Type::PaeXenL2,
                wanted: Type::Table(Level::L2)
            }
        ),
        "page 0x67: is L2 of slot 3, L2 was asked for"
    );
    assert_eq!(refusal(None, Why::Pinned), "page 0x67: is pinned already");
    assert_eq!(
        refusal(Some(3), Why::Slot3Shared),
        "page 0x67 slot 3: the L2 in it is shared"
    );
}

#[test]
fn unpinning_gives_everything_back() {
    let mut image = Image::new(Mode::Pae);
    let kernel = running_kernel(&mut image);
    let pfn = [100, 101, 102, 103];
    cached_set(&mut image, &kernel, pfn, 3);
    let mut types = Types::new(&image);
    types.load_root(10).unwrap();
    let before = kernel.iter().map(|l1| types.of(*l1)).collect::<Vec<_>>();
    for page in pfn {
        types.pin(page, Level::L2).unwrap();
    }
    assert_eq!(types.of(100), (Type::Table(Level::L2), 2));
    assert_eq!(types.pin(100, Level::L2), Err(Errno::Einval));
    // The holder first: its linear entries go with it.
    for page in pfn.into_iter().rev() {
        assert!(types.unpin(page));
        assert_eq!(types.of(page), (Type::None, 0));
    }
    assert!(!types.unpin(100));
    assert_eq!(
        kernel.iter().map(|l1| types.of(*l1)).collect::<Vec<_>>(),
        before
    );
}

#[test]
fn a_refused_promotion_leaves_no_trace() {
    let mut image = Image::new(Mode::Pae);
    let kernel = running_kernel(&mut image);
    cached_set(&mut image, &kernel, [101, 102, 100, 103], 2);
    let mut types = Types::new(&image);
    types.load_root(10).unwrap();
    let before = std::format!("{:?}", [101, 102, 100, 103, 15, 16].map(|p| types.of(p)));
    assert_eq!(types.pin(100, Level::L2), Err(Errno::Ebusy));
    assert_eq!(
        std::format!("{:?}", [101, 102, 100, 103, 15, 16].map(|p| types.of(p))),
        before
    );
}
