package senders

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/phone"
)

// Route returns a sender that chooses one by the region of the number, such as "US" (ISO 3166),
// and takes the other one for regions without a sender. If that is nil, the error for these is
// [ErrRegionOff]. A number that is not known, as mfa.Config.UncheckedRegions allows, is of the
// main region of its country code.
//
// The error of Route matches [mfa.ErrConfig]: a region does not exist, or its sender is nil.
func Route(
	byRegion map[string]mfa.SMSSender, otherwise mfa.SMSSender,
) (mfa.SMSSender, error) {
	regions := phone.Regions()
	for region, sender := range byRegion {
		if !slices.Contains(regions, region) {
			return nil, fmt.Errorf(
				`%w: Route has %q, which is not an ISO 3166 code such as "US"`, mfa.ErrConfig, region)
		}
		if sender == nil {
			return nil, fmt.Errorf("%w: Route has no sender for %s", mfa.ErrConfig, region)
		}
	}
	return &route{byRegion: maps.Clone(byRegion), otherwise: otherwise}, nil
}

type route struct {
	byRegion  map[string]mfa.SMSSender
	otherwise mfa.SMSSender // nil for none
}

// Send asks the sender of the region.
func (r *route) Send(ctx context.Context, m mfa.Message) error {
	region := phone.RegionOf(m.To)
	sender := r.byRegion[region]
	if sender == nil {
		sender = r.otherwise
	}
	if sender == nil {
		return &Error{
			Sender: "route", Reason: ErrRegionOff,
			Text: fmt.Sprintf("there is no sender for region %q", region),
		}
	}
	return sender.Send(ctx, m)
}
