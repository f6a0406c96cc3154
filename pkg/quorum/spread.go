package quorum

// Spread counts the domains that copies on members lie in, as far as the property asks for them. Copies are where they
// should be if it is Wanted.
func (p Property) Spread(members []Member) int {
	spread := 0
	for s := range Scope(scopes) {
		if p.Factor(s) == 0 {
			continue
		}
		names := make(map[string]bool, len(members))
		for _, m := range members {
			names[domainName(m, s)] = true
		}
		spread += min(len(names), p.Factor(s))
	}
	return spread
}

// Wanted is the Spread of copies that satisfy the property.
func (p Property) Wanted() int {
	wanted := 0
	for s := range Scope(scopes) {
		wanted += p.Factor(s)
	}
	return wanted
}
