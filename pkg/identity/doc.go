// Package identity signs requests to endpoints, which prove so that they come from this cluster.
//
//	s, err := identity.NewSigner(pem, time.Minute, h.Clock)
//	req.Header.Set(identity.HeaderScheme, identity.Scheme)
//	req.Header.Set(identity.HeaderToken, s.Token("/discover", ""))
package identity
