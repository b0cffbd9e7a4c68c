package lab

import (
	"encoding/json"
	"reflect"
	"time"

	"tailscale.com/tailcfg"
)

// Sender remembers what one map stream was told and reduces each complete map
// to what the client does not know yet. Not safe for concurrent use.
type Sender struct {
	// Patches sends PeersChangedPatch where only patchable fields changed.
	Patches bool
	// Whole repeats the whole peer list as PeersChanged in every update.
	Whole bool

	started bool
	parts   map[string]string
	peers   map[tailcfg.NodeID]*tailcfg.Node
	users   map[tailcfg.UserID]string
}

// Next returns the message that brings a client from what it was sent last to
// full, or nil if nothing changed. The first call returns full itself.
func (s *Sender) Next(full *tailcfg.MapResponse) *tailcfg.MapResponse {
	now := time.Now().UTC()
	if !s.started {
		s.started = true
		s.parts = map[string]string{}
		s.peers = map[tailcfg.NodeID]*tailcfg.Node{}
		s.users = map[tailcfg.UserID]string{}
		s.note(full)
		full.ControlTime = &now
		return full
	}
	msg := &tailcfg.MapResponse{}
	changed := s.partsDelta(full, msg)
	changed = s.usersDelta(full, msg) || changed
	changed = s.peersDelta(full, msg) || changed
	if !changed {
		return nil
	}
	msg.ControlTime = &now
	return msg
}

// Forget makes the next update send every part again (not the peers).
func (s *Sender) Forget() {
	s.parts = map[string]string{}
}

func (s *Sender) note(full *tailcfg.MapResponse) {
	s.partsDelta(full, &tailcfg.MapResponse{})
	for _, u := range full.UserProfiles {
		s.users[u.ID] = text(u)
	}
	for _, p := range full.Peers {
		s.peers[p.ID] = p
	}
}

func (s *Sender) partsDelta(full, msg *tailcfg.MapResponse) (changed bool) {
	differs := func(name string, v any) bool {
		if t := text(v); t != s.parts[name] {
			s.parts[name] = t
			changed = true
			return true
		}
		return false
	}
	if full.Node != nil && differs("node", full.Node) {
		msg.Node = full.Node
	}
	if full.DERPMap != nil && differs("derp", full.DERPMap) {
		msg.DERPMap = full.DERPMap
	}
	if full.DNSConfig != nil && differs("dns", full.DNSConfig) {
		msg.DNSConfig = full.DNSConfig
	}
	if full.SSHPolicy != nil && differs("ssh", full.SSHPolicy) {
		msg.SSHPolicy = full.SSHPolicy
	}
	if full.PacketFilters != nil && differs("filters", full.PacketFilters) {
		msg.PacketFilters = full.PacketFilters
	}
	if full.PacketFilter != nil && differs("filter", full.PacketFilter) {
		msg.PacketFilter = full.PacketFilter
	}
	if full.DisplayMessages != nil && differs("messages", full.DisplayMessages) {
		msg.DisplayMessages = full.DisplayMessages
	}
	if full.TKAInfo != nil && differs("tka", full.TKAInfo) {
		msg.TKAInfo = full.TKAInfo
	}
	if differs("domain", full.Domain) {
		msg.Domain = full.Domain
	}
	return changed
}

func (s *Sender) usersDelta(full, msg *tailcfg.MapResponse) bool {
	for _, u := range full.UserProfiles {
		if t := text(u); s.users[u.ID] != t {
			s.users[u.ID] = t
			msg.UserProfiles = append(msg.UserProfiles, u)
		}
	}
	return len(msg.UserProfiles) > 0
}

func (s *Sender) peersDelta(full, msg *tailcfg.MapResponse) bool {
	seen := map[tailcfg.NodeID]bool{}
	for _, p := range full.Peers {
		seen[p.ID] = true
		old := s.peers[p.ID]
		if old == p && !s.Whole {
			continue // synthetic peers are shared and never change
		}
		switch {
		case s.Whole:
			msg.PeersChanged = append(msg.PeersChanged, p)
		case old == nil || text(old) != text(p):
			if patch := patchFor(old, p); patch != nil && s.Patches {
				msg.PeersChangedPatch = append(msg.PeersChangedPatch, patch)
			} else {
				msg.PeersChanged = append(msg.PeersChanged, p)
			}
		}
		s.peers[p.ID] = p
	}
	for id := range s.peers {
		if !seen[id] {
			delete(s.peers, id)
			msg.PeersRemoved = append(msg.PeersRemoved, id)
		}
	}
	return len(msg.PeersChanged)+len(msg.PeersChangedPatch)+len(msg.PeersRemoved) > 0
}

// patchFor returns the patch from old to new, or nil where more changed than
// a patch can say (fields without a value in a patch mean "unchanged").
func patchFor(old, new *tailcfg.Node) *tailcfg.PeerChange {
	if old == nil {
		return nil
	}
	patch := &tailcfg.PeerChange{NodeID: new.ID}
	rest := old.Clone()
	if old.HomeDERP != new.HomeDERP && new.HomeDERP != 0 {
		patch.DERPRegion, rest.HomeDERP = new.HomeDERP, new.HomeDERP
	}
	if old.Key != new.Key {
		k := new.Key
		patch.Key, rest.Key = &k, k
	}
	if old.DiscoKey != new.DiscoKey && !new.DiscoKey.IsZero() {
		k := new.DiscoKey
		patch.DiscoKey, rest.DiscoKey = &k, k
	}
	if !reflect.DeepEqual(old.Endpoints, new.Endpoints) && len(new.Endpoints) > 0 {
		patch.Endpoints, rest.Endpoints = new.Endpoints, new.Endpoints
	}
	if !reflect.DeepEqual(old.Online, new.Online) && new.Online != nil {
		patch.Online, rest.Online = new.Online, new.Online
	}
	if !reflect.DeepEqual(old.LastSeen, new.LastSeen) {
		patch.LastSeen, rest.LastSeen = new.LastSeen, new.LastSeen
	}
	if !old.KeyExpiry.Equal(new.KeyExpiry) && !new.KeyExpiry.IsZero() {
		expiry := new.KeyExpiry
		patch.KeyExpiry, rest.KeyExpiry = &expiry, expiry
	}
	if text(rest) != text(new) {
		return nil
	}
	return patch
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		Fatal(err)
	}
	return string(b)
}
