/// Simplex consensus (Chan and Pass, eprint 2023/463) in its notarize / nullify / finalize form, as a machine.
///
/// One view, one leader, one proposal. Validators *notarize* a proposal they find valid, *nullify* a view that fails, and *finalize* a notarized
/// proposal in a view they did not nullify. A quorum of equal votes is a *certificate*. A view ends by a certified notarization, a nullification or a
/// finalization.
///
/// Why it is safe: two quorums share an honest validator; an honest validator never notarizes two proposals of a view and never both nullifies and
/// finalizes it; so a finalized view has no other notarization and no nullification, and every later proposal, which must name a parent and show a
/// nullification for each view between, passes through it.
///
/// The machine knows payloads by digest alone. It asks its application to *propose*, *verify* and *certify* them, and never waits for it.
