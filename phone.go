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
	unchecked     map[int]bool // country codes of Config.UncheckedRegions
	defaultRegion string
}

func newPhoneRules(regions, unchecked []string, defaultRegion string) (phoneRules, error) {
	supported := phonenumbers.GetSupportedRegions()
	rules := phoneRules{
		regions: make(map[string]bool, len(regions)), unchecked: make(map[int]bool, len(unchecked)),
		defaultRegion: defaultRegion,
	}
	for _, region := range regions {
		if !supported[region] {
			return rules, fmt.Errorf(`%w: Config.Regions has %q, which is not an ISO 3166 code such as "US"`, ErrConfig, region)
		}
		rules.regions[region] = true
	}
	for _, region := range unchecked {
		if !rules.regions[region] {
			return rules, fmt.Errorf("%w: Config.UncheckedRegions has %q, which is not among Config.Regions", ErrConfig, region)
		}
		rules.unchecked[phonenumbers.GetCountryCodeForRegion(region)] = true
	}
	if defaultRegion != "" && !rules.regions[defaultRegion] {
		return rules, fmt.Errorf("%w: Config.DefaultRegion is %q, which is not among Config.Regions", ErrConfig, defaultRegion)
	}
	return rules, nil
}

// normalize returns the number in E.164, computed once: the store, the budgets
// and the sender all get this one.
func (r phoneRules) normalize(typed string) (string, error) {
	text, ok := canonicalNumber(typed)
	if !ok {
		return "", errInvalidPhoneNumber()
	}
	region := r.defaultRegion
	if region == "" {
		region = "ZZ" // libphonenumber's unknown region: the "+" is required
	}
	number, err := phonenumbers.Parse(text, region)
	if err != nil {
		return "", errInvalidPhoneNumber()
	}
	if text[0] == '+' || region != "MX" { // else the 1 may be the country code of the United States
		dropMexicanOne(number)
	}
	e164 := phonenumbers.Format(number, phonenumbers.E164)
	switch {
	case r.allow(number) && isCanonical(e164):
		return e164, nil
	case !phonenumbers.IsValidNumber(number):
		return "", errInvalidPhoneNumber()
	default:
		return "", errPhoneNumberNotAllowed(r.missingToken(number))
	}
}

// isCanonical reports whether a number in E.164 is read as itself. One that is not known
// and has zeros in front may lose them, one each time, and would be many numbers.
func isCanonical(e164 string) bool {
	number, err := phonenumbers.Parse(e164, "ZZ")
	return err == nil && phonenumbers.Format(number, phonenumbers.E164) == e164
}

// dropMexicanOne makes the one form of a number that Mexico has had since 2019 of the
// one before, with a 1 in front of the ten digits of a mobile number. No number of
// today has eleven.
func dropMexicanOne(number *phonenumbers.PhoneNumber) {
	const countryCode, one = 52, 100_0000_0000
	if n := number.GetNationalNumber(); number.GetCountryCode() == countryCode && n/one == 1 {
		n -= one
		number.NationalNumber = &n
	}
}

// missingToken is what a number of a fixed line lacks to be a mobile number that is
// allowed, as the 9 of Argentina: "" if that is not it. Both may be in use, by
// different people, so that only a person can tell which is meant.
func (r phoneRules) missingToken(number *phonenumbers.PhoneNumber) string {
	token := phonenumbers.GetCountryMobileToken(int(number.GetCountryCode()))
	if token == "" || phonenumbers.GetNumberType(number) != phonenumbers.FIXED_LINE {
		return ""
	}
	text := fmt.Sprintf("+%d%s%s", number.GetCountryCode(), token, phonenumbers.GetNationalSignificantNumber(number))
	mobile, err := phonenumbers.Parse(text, "ZZ")
	if err != nil || !r.allow(mobile) {
		return ""
	}
	return token
}

// allowed reports whether a number that was enrolled once may still receive messages.
func (r phoneRules) allowed(e164 string) bool {
	number, err := phonenumbers.Parse(e164, "ZZ")
	return err == nil && r.allow(number)
}

func (r phoneRules) allow(number *phonenumbers.PhoneNumber) bool {
	if !phonenumbers.IsValidNumber(number) {
		return r.allowUnchecked(number)
	}
	const northAmerica = 1
	switch phonenumbers.GetNumberType(number) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
	case phonenumbers.PERSONAL_NUMBER: // elsewhere they forward calls, at a price
		if number.GetCountryCode() != northAmerica {
			return false
		}
	default: // premium rate, toll free, fixed lines, ...
		return false
	}
	return r.regions[phonenumbers.GetRegionCodeForNumber(number)]
}

// allowUnchecked reports whether a number that the metadata does not know has a length
// of a region that is unchecked. Which region it is of, where several share a country
// code, nobody knows. A number that is known and has digits more is not one of its own:
// a network may ignore them.
func (r phoneRules) allowUnchecked(number *phonenumbers.PhoneNumber) bool {
	const shortest, longest = len("+1234567"), len("+123456789012345") // ITU-T E.164 section 6.1
	country, size := int(number.GetCountryCode()), len(phonenumbers.Format(number, phonenumbers.E164))
	if !r.unchecked[country] || size < shortest || size > longest ||
		phonenumbers.IsPossibleNumberWithReason(number) != phonenumbers.IS_POSSIBLE {
		return false
	}
	national := phonenumbers.GetNationalSignificantNumber(number)
	for i := range national {
		known, err := phonenumbers.Parse(fmt.Sprintf("+%d%s", country, national[:i]), "ZZ")
		if err == nil && phonenumbers.IsValidNumber(known) {
			return false
		}
	}
	return true
}
