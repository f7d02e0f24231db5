package mfa

import (
	"fmt"
	"slices"

	"github.com/nyaruka/phonenumbers"
)

// AllRegions returns every region that has phone numbers, for [Config.Regions].
// Numbers of some regions cost a hundred times those of others, and fraudsters
// know which: prefer a list of those that your users live in.
func AllRegions() []string {
	var regions []string
	for region := range phonenumbers.GetSupportedRegions() {
		regions = append(regions, region)
	}
	slices.Sort(regions)
	return regions
}

// phoneRules say which numbers are taken.
type phoneRules struct {
	regions       map[string]bool
	defaultRegion string
}

func newPhoneRules(regions []string, defaultRegion string) (phoneRules, error) {
	supported := phonenumbers.GetSupportedRegions()
	rules := phoneRules{regions: make(map[string]bool, len(regions)), defaultRegion: defaultRegion}
	for _, region := range regions {
		if !supported[region] {
			return rules, fmt.Errorf(`%w: Config.Regions has %q, which is not an ISO 3166 code such as "US"`, ErrConfig, region)
		}
		rules.regions[region] = true
	}
	if defaultRegion != "" && !rules.regions[defaultRegion] {
		return rules, fmt.Errorf("%w: Config.DefaultRegion is %q, which is not among Config.Regions", ErrConfig, defaultRegion)
	}
	return rules, nil
}

// normalize returns the number in E.164, computed once: the store, the budgets
// and the sender all get this one.
func (r phoneRules) normalize(text string) (string, error) {
	if !plausiblePhone(text) {
		return "", errInvalidPhoneNumber()
	}
	region := r.defaultRegion
	if region == "" {
		region = "ZZ" // libphonenumber's unknown region: the "+" is required
	}
	number, err := phonenumbers.Parse(text, region)
	if err != nil || !phonenumbers.IsValidNumber(number) {
		return "", errInvalidPhoneNumber()
	}
	if !r.allow(number) {
		return "", errPhoneNumberNotAllowed()
	}
	return phonenumbers.Format(number, phonenumbers.E164), nil
}

// allowed says whether a number that was enrolled once may still receive messages.
func (r phoneRules) allowed(e164 string) bool {
	number, err := phonenumbers.Parse(e164, "ZZ")
	return err == nil && r.allow(number)
}

func (r phoneRules) allow(number *phonenumbers.PhoneNumber) bool {
	switch phonenumbers.GetNumberType(number) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE, phonenumbers.PERSONAL_NUMBER:
		return r.regions[phonenumbers.GetRegionCodeForNumber(number)]
	default: // premium rate, toll free, fixed lines, ...
		return false
	}
}

// plausiblePhone is ^\+?[0-9 ().-]{3,32}$: libphonenumber would also take letters,
// extensions and the digits of other scripts, so that two strings are one number.
func plausiblePhone(s string) bool {
	if s != "" && s[0] == '+' {
		s = s[1:]
	}
	if len(s) < 3 || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', c == ' ', c == '(', c == ')', c == '.', c == '-':
		default:
			return false
		}
	}
	return true
}
