// Package phone decides which phone numbers may get messages, and gives each its one
// form, by the metadata of libphonenumber.
package phone

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nyaruka/phonenumbers"
)

// Regions returns every region that has phone numbers, by its ISO 3166 code.
func Regions() []string {
	var regions []string
	for region := range phonenumbers.GetSupportedRegions() {
		regions = append(regions, region)
	}
	slices.Sort(regions)
	return regions
}

// Config says which numbers are taken, as the fields of mfa.Config of the same names.
type Config struct {
	Regions          []string
	UncheckedRegions []string
	DefaultRegion    string // "" for none
}

// Rules say which numbers are taken.
type Rules struct {
	regions       map[string]bool
	unchecked     map[int]bool // country codes of Config.UncheckedRegions
	defaultRegion string
}

// New checks the regions.
func New(cfg Config) (Rules, error) {
	supported := phonenumbers.GetSupportedRegions()
	rules := Rules{
		regions: make(map[string]bool, len(cfg.Regions)), unchecked: make(map[int]bool, len(cfg.UncheckedRegions)),
		defaultRegion: cfg.DefaultRegion,
	}
	for _, region := range cfg.Regions {
		if !supported[region] {
			return rules, fmt.Errorf(`Config.Regions has %q, which is not an ISO 3166 code such as "US"`, region)
		}
		rules.regions[region] = true
	}
	for _, region := range cfg.UncheckedRegions {
		if !rules.regions[region] {
			return rules, fmt.Errorf("Config.UncheckedRegions has %q, which is not among Config.Regions", region)
		}
		rules.unchecked[phonenumbers.GetCountryCodeForRegion(region)] = true
	}
	if cfg.DefaultRegion != "" && !rules.regions[cfg.DefaultRegion] {
		return rules, fmt.Errorf("Config.DefaultRegion is %q, which is not among Config.Regions", cfg.DefaultRegion)
	}
	return rules, nil
}

// ErrInvalid is what Normalize returns of a text that can be no number.
var ErrInvalid = errors.New("phone: there can be no such number")

// A NotAllowedError is what Normalize returns of a number that is not taken. It does not
// have the number.
type NotAllowedError struct {
	// Missing is what the number of a fixed line lacks behind the country code to be one
	// of a mobile phone that is taken, "" if that is not it.
	Missing string
}

func (e *NotAllowedError) Error() string {
	return "phone: numbers of this region or type are not taken"
}

// Normalize returns a number in E.164 if it is taken, or ErrInvalid or a
// [*NotAllowedError]. The text is ASCII digits with at most a '+' in front.
func (r Rules) Normalize(text string) (string, error) {
	region := r.defaultRegion
	if region == "" {
		region = "ZZ" // libphonenumber's unknown region: the "+" is required
	}
	number, err := phonenumbers.Parse(text, region)
	if err != nil {
		return "", ErrInvalid
	}
	if text[0] == '+' || region != "MX" { // else the 1 may be the country code of the United States
		dropMexicanOne(number)
	}
	e164 := phonenumbers.Format(number, phonenumbers.E164)
	switch {
	case r.allow(number) && isCanonical(e164):
		return e164, nil
	case !phonenumbers.IsValidNumber(number):
		return "", ErrInvalid
	default:
		return "", &NotAllowedError{Missing: r.missingToken(number)}
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
func (r Rules) missingToken(number *phonenumbers.PhoneNumber) string {
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

// Allowed reports whether a number that Normalize returned once is taken still.
func (r Rules) Allowed(e164 string) bool {
	_, ok := r.Look(e164)
	return ok
}

// Look is RegionOf and Allowed, for less.
func (r Rules) Look(e164 string) (region string, allowed bool) {
	number, err := phonenumbers.Parse(e164, "ZZ")
	if err != nil {
		return "", false
	}
	return regionOf(number), r.allow(number)
}

// RegionOf returns the region of a number in E.164, by its ISO 3166 code: of one that the
// metadata does not know, the main region of its country code. It is "001" of a code of no
// country, and "" of no code.
func RegionOf(e164 string) string {
	number, err := phonenumbers.Parse(e164, "ZZ")
	if err != nil {
		return ""
	}
	return regionOf(number)
}

func regionOf(number *phonenumbers.PhoneNumber) string {
	if region := phonenumbers.GetRegionCodeForNumber(number); region != "" {
		return region
	}
	return phonenumbers.GetRegionCodeForCountryCode(int(number.GetCountryCode()))
}

func (r Rules) allow(number *phonenumbers.PhoneNumber) bool {
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
func (r Rules) allowUnchecked(number *phonenumbers.PhoneNumber) bool {
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
