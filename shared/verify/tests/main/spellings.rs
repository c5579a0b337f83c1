//! Good and spoiled spellings of each form of the grammar, one by one: what the platforms of today do not need, the next
//! one may.

use hookgate_verify::{Provider, Rejection, scheme::MAX_SIGNATURES};

use crate::{
    invented::{ANY, CUT, EMPTIED, LIST, MARKED, MOVING, PAIR, SUMS, VERSIONS, WIDE},
    post::{
        CURRENT, Case, DELIVERY_ID, NOW,
        Outcome::{Read, Rejected},
        PREVIOUS, Post, cases_of,
    },
};

/// A platform, and spellings that are accepted, each with the position of the secret that counts: `$` is the current
/// secret's signature, `%` the previous one's, `!` a stranger's; `@` is the signed time.
const GOOD: &[(&Provider, &[(&str, usize)])] = &[
    (
        &VERSIONS,
        &[
            ("t=@,v1=$", 0),
            ("t=@,v1=!,v1=$", 0),
            ("t=@,v1=$,v1=!", 0),
            ("t=@,v1=%", 1),
            ("t=@,v1=%,v1=$", 0),
            ("t=@,v1=$,v1=%", 0),
            ("t=@,v1=$,v1=$", 0),
            ("t=@,v0=!,v1=$", 0),
            ("t=@,v1=$,v0=", 0),
            ("t=@,v1=$,note=any thing,v0==,note=$", 0),
            ("t=@,v1=!,v1=!,v1=!,v1=!,v1=!,v1=!,v1=!,v1=$", 0),
            ("t=@,v1=$,v1=!,v1=!,v1=!,v1=!,v1=!,v1=!,v1=!", 0),
            ("t=@,v1=$,v0=1,v0=2,v0=3,v0=4,v0=5,v0=6,v0=7,v0=8,v0=9", 0),
        ],
    ),
    (&PAIR, &[("ts=@;h1=$", 0), ("ts=@;h1=%", 1)]),
    (&MARKED, &[("v1,t=@,h=$", 0), ("v1,t=@,h=%", 1)]),
    (
        &LIST,
        &[
            ("v1,$", 0),
            ("v1,! v1,$", 0),
            ("v1,$ v1,!", 0),
            ("v1,% v1,$", 0),
            ("v1,! v1,%", 1),
            ("v1a,! v1,$", 0),
            ("v1,$ v1a,a,b", 0),
            ("v1,! v1,! v1,! v1,! v1,! v1,! v1,! v1,$", 0),
        ],
    ),
    (&SUMS, &[("s=$", 0), ("s=!&s=$", 0), ("s=$&s=!", 0), ("s=!&s=%&s=!", 1)]),
    (&WIDE, &[("sha512=$", 0), ("sha512=%", 1)]),
    (&CUT, &[("$", 0), ("%", 1)]),
    (&EMPTIED, &[("is:$", 0), ("is:%", 1)]),
    (&MOVING, &[("t:@|v1:$", 0), ("t:@|v1:!|v1:%", 1)]),
    (&ANY, &[("x.v1-$", 0), ("x.v1-!.v1-$", 0)]),
];

/// Spellings that are malformed, for all that a right signature is in them.
const SPOILED: &[(&Provider, &[&str])] = &[
    (
        &VERSIONS,
        &[
            // Too many, the right one first, last, and alone.
            "t=@,v1=$,v1=!,v1=!,v1=!,v1=!,v1=!,v1=!,v1=!,v1=!",
            "t=@,v1=!,v1=!,v1=!,v1=!,v1=!,v1=!,v1=!,v1=!,v1=$",
            "t=@,v1=$,v1=$,v1=$,v1=$,v1=$,v1=$,v1=$,v1=$,v1=$",
            // A field twice, joined headers, an unknown field, another version alone.
            "t=@,t=@,v1=$",
            "t=@,v1=$,t=@",
            "t=@,v1=$,t=@,v1=$",
            "t=@,v1=$, t=@,v1=$",
            "t=@,v1=$,v2=$",
            "t=@,v2=$,v1=$",
            "t=@,v2=$",
            "t=@,v0=$",
            "t=@,=$",
            // The time last, missing, empty, twice in one field, not where it belongs.
            "v1=$,t=@",
            "v0=1,t=@,v1=$",
            "v1=$",
            "t=,v1=$",
            "t,v1=$",
            "t=@=@,v1=$",
            "@,v1=$",
            "t=@",
            "t=@,",
            // One of several not of the form.
            "t=@,v1=",
            "t=@,v1=$,v1=",
            "t=@,v1=,v1=$",
            "t=@,v1=$,v1=0",
            "t=@,v1=g,v1=$",
            "t=@,v1",
            "t=@,v1=$,v1",
            "t=@,v1=$,v0",
            "t=@,v1==$",
            "t=@,v1=$=",
            // Trailing text, empty fields, other marks, other case, white space.
            "t=@,v1=$x",
            "t=@,v1=$,",
            "t=@,v1=$,,",
            "t=@,,v1=$",
            ",t=@,v1=$",
            "t=@;v1=$",
            "t:@,v1:$",
            "t=@ v1=$",
            "T=@,v1=$",
            "t=@,V1=$",
            "t=@,V0=1,v1=$",
            "t=@,v1=$, v1=!",
            "t=@,v1=$ ,v1=!",
            "t=@,v1=$,v0 =1",
            "t=@,v1=$\t,v1=!",
            "t =@,v1=$",
            "t=@\u{a0},v1=$",
            "\"t=@,v1=$\"",
            "$",
            "",
        ],
    ),
    (
        &PAIR,
        &[
            "ts=@;h1=$;h1=!",
            "ts=@;h1=!;h1=$",
            "ts=@;h1=$;h1=$",
            "ts=@;ts=@;h1=$",
            "ts=@;h1=$;ts=@",
            "ts=@;h1=$;h2=$",
            "ts=@;h1=$;",
            "h1=$;ts=@",
            "h1=$",
            "ts=@",
            "ts=;h1=$",
            "ts=@;h1=",
            "ts=@,h1=$",
            "ts=@; h1=$",
            "TS=@;h1=$",
            "ts=@;h1=$;ts=@;h1=$",
            "ts=@;h1=$,ts=@;h1=$",
            "$",
        ],
    ),
    (
        &MARKED,
        &[
            "t=@,h=$",
            "v2,t=@,h=$",
            "V1,t=@,h=$",
            "v1 ,t=@,h=$",
            "v1,v1,t=@,h=$",
            "t=@,v1,h=$",
            "t=@,h=$,v1",
            "v1,h=$,t=@",
            "v1,h=$",
            "v1,t=@",
            "v1",
            "v1,",
            "v1=,t=@,h=$",
            "v1,t=@,h=$,h=$",
            "v1,t=@,h=!,h=$",
            "v1,t=@,t=@,h=$",
            "v1,t=@,h=$,x=1",
            "v1,t=@,x=1,h=$",
            "v1,t=@, h=$",
            "v1,t=@,h=$,",
            "v1,t=@,h=$,v1,t=@,h=$",
            "v1;t=@;h=$",
        ],
    ),
    (
        &LIST,
        &[
            "v1,$ v1,! v1,! v1,! v1,! v1,! v1,! v1,! v1,!",
            "v1,! v1,! v1,! v1,! v1,! v1,! v1,! v1,! v1,$",
            "v1,$  v1,!",
            "v1,$ ",
            " v1,$",
            "v1,$\tv1,!",
            "v1,$,v1,!",
            "v1,$, v1,!",
            "v1,$ v2,!",
            "v2,! v1,$",
            "v1a,$",
            "V1,$",
            "v1=$",
            "v1,",
            "v1,$ v1,",
            "v1, v1,$",
            "v1 $",
            "v1",
            "v1,$ v1",
            "$",
            "v1,$ $",
            "v1,$ t,1",
            "1,$",
        ],
    ),
    (
        &SUMS,
        &[
            "s=$&s=!&s=!&s=!&s=!&s=!&s=!&s=!&s=!",
            "s=$&",
            "&s=$",
            "s=$&&s=!",
            "s=$&t=1",
            "s=$;s=!",
            "S=$",
            "s=",
            "s=$&s=",
            "$",
        ],
    ),
    (&WIDE, &["$", "sha256=$", "SHA512=$", "sha512:$", "sha512= $", "sha512=sha512=$", "sha512=$,sha512=!", "=$"]),
    (&CUT, &["sig=$", "$$", "$,$", " $", "$ ", ""]),
    (&EMPTIED, &["$", "is:", "IS:$", "is: $", "is:is:$", "is:$,is:!", "is=$", "\\u0069s:$"]),
    (&MOVING, &["t:@|v1:$|v1:", "t:@||v1:$", "t=@|v1=$", "v1:$|t:@", "v1:$", "t:@:v1:$", "t:@|v1:$|t:@"]),
    (&ANY, &["v1-$", "x.v1-$.x", "v1-$.x", "x", "x.", "x.v1-$.", "X.v1-$", "x-.v1-$", "x,v1-$", "x.v2-$"]),
];

#[test]
fn good_spellings_are_accepted() {
    for (provider, spellings) in GOOD {
        for case in first_schemes(provider) {
            for (spelling, secret) in *spellings {
                assert_eq!(spelled(case, spelling).outcome(), Read(*secret), "{case:?} {spelling:?}");
            }
        }
    }
}

#[test]
fn spoiled_spellings_are_malformed() {
    for (provider, spellings) in SPOILED {
        for case in first_schemes(provider) {
            for spelling in *spellings {
                let outcome = spelled(case, spelling).outcome();
                assert_eq!(outcome, Rejected(Rejection::Malformed), "{case:?} {spelling:?}");
            }
        }
    }
}

#[test]
fn of_several_signatures_one_has_to_match() {
    for (provider, spellings) in GOOD {
        for case in first_schemes(provider) {
            for (spelling, _) in *spellings {
                let none = spelling.replace(['$', '%'], "!");
                let outcome = spelled(case, &none).outcome();
                assert_eq!(outcome, Rejected(Rejection::Mismatch), "{case:?} {none:?}");
            }
        }
    }
}

#[test]
fn the_tables_reach_the_limit() {
    let most = GOOD[0].1.iter().map(|(spelling, _)| spelling.matches("v1=").count()).max();
    let least = SPOILED[0].1[..3].iter().map(|spelling| spelling.matches("v1=").count()).min();
    assert_eq!((most, least), (Some(MAX_SIGNATURES), Some(MAX_SIGNATURES + 1)));
}

/// A tool that explains sees every part of a spelling.
#[test]
fn a_spelling_can_be_inspected() {
    for (provider, spellings) in GOOD {
        for case in first_schemes(provider) {
            for (spelling, _) in *spellings {
                let right = spelled(case, "$").written();
                let inspection = spelled(case, spelling).inspect();
                assert!(inspection.well_formed, "{case:?} {spelling:?}");
                assert_eq!(inspection.time, spelling.contains('@').then(|| NOW.to_string()), "{case:?} {spelling:?}");
                let is_there = inspection.signatures.contains(&right);
                assert_eq!(is_there, spelling.contains('$'), "{case:?} {spelling:?}");
            }
        }
    }
}

/// The first scheme of the first mode, in every encoding.
fn first_schemes(provider: &Provider) -> impl Iterator<Item = Case> {
    let provider = crate::invented::ALL.iter().find(|known| known.name == provider.name).unwrap();
    cases_of(provider).filter(|case| case.mode == 0 && case.newer().next().is_none())
}

fn spelled(case: Case, spelling: &str) -> Post {
    let post = Post::signed(case, case.body().text());
    let text = case.scheme.signed_text(DELIVERY_ID, &NOW.to_string(), &post.body).unwrap();
    let signature = |name: &str| case.spell(&case.mac(&case.key(&case.secret(name)), &text));
    let spelling = spelling
        .replace('@', &NOW.to_string())
        .replace('$', &signature(CURRENT))
        .replace('%', &signature(PREVIOUS))
        .replace('!', &signature("nobody"));
    post.edit(|_| spelling)
}

/// Every good spelling of the case's scheme in which the current secret's signature is not alone.
pub fn extras(case: Case) -> Vec<Post> {
    let table = GOOD.iter().find(|(provider, _)| provider.name == case.provider.name);
    let spellings = table.map_or(&[][..], |(_, spellings)| spellings).iter().filter(|_| case.newer().next().is_none());
    let several = spellings.filter(|(spelling, secret)| *secret == 0 && spelling.contains(['!', '%']));
    several.take(2).map(|(spelling, _)| spelled(case, spelling)).collect()
}
