#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdbool.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

int64_t clock_mono_ms(void)
{
    return read_ms(CLOCK_BOOTTIME);
}

int64_t clock_mono_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void clock_sleep_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (ms > 0 && nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar, counting years from March so that the leap day
 * is the last of its year. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void clock_format(int64_t wall_ms, char out[CLOCK_TEXT_SIZE])
{
    struct tm parts = {0};
    int64_t ms = wall_ms % 1000;
    time_t seconds = (time_t)(wall_ms / 1000);
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    /* Four digits of year are all that the form has. */
    if (!gmtime_r(&seconds, &parts) || parts.tm_year < -1900 || parts.tm_year > 8099)
        parts = (struct tm){.tm_year = 8099, .tm_mon = 11, .tm_mday = 31};
    size_t used = (size_t)snprintf(out, CLOCK_TEXT_SIZE, "%04d", parts.tm_year + 1900); /* %Y does not fill up */
    used += strftime(out + used, CLOCK_TEXT_SIZE - used, "-%m-%dT%H:%M:%S", &parts);
    snprintf(out + used, CLOCK_TEXT_SIZE - used, ".%03dZ", (int)ms);
}

void clock_http_date(int64_t wall_ms, char out[CLOCK_HTTP_SIZE])
{
    struct tm parts = {0};
    time_t seconds = (time_t)(wall_ms / 1000);
    gmtime_r(&seconds, &parts);
    strftime(out, CLOCK_HTTP_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &parts); /* the C locale is never left */
}

/* `count` decimal digits at *text; moves on. -1 when there are fewer. */
static int digits(const char **text, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return -1;
        value = value * 10 + (**text - '0');
    }
    return value;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static int parse_date(const char **t, int64_t *out_days)
{
    int year = digits(t, 4);
    if (year < 0 || *(*t)++ != '-')
        return -1;
    int month = digits(t, 2);
    if (month < 1 || month > 12 || *(*t)++ != '-')
        return -1;
    int day = digits(t, 2);
    if (day < 1 || day > month_days(year, month))
        return -1;
    *out_days = days_from_civil(year, month, day);
    return 0;
}

static int parse_time(const char **t, int64_t *out_ms)
{
    int hour = digits(t, 2);
    if (hour < 0 || hour > 23 || *(*t)++ != ':')
        return -1;
    int minute = digits(t, 2);
    if (minute < 0 || minute > 59 || *(*t)++ != ':')
        return -1;
    int second = digits(t, 2);
    if (second < 0 || second > 60)
        return -1;
    int64_t ms = 0;
    if (**t == '.') {
        int scale = 100;
        (*t)++;
        if (**t < '0' || **t > '9')
            return -1;
        for (; **t >= '0' && **t <= '9'; (*t)++, scale /= 10)
            ms += (**t - '0') * scale;
    }
    *out_ms = ((hour * 60 + minute) * 60 + second) * (int64_t)1000 + ms;
    return 0;
}

static int parse_zone(const char **t, int64_t *out_ms)
{
    if (**t == 'Z' || **t == 'z') {
        (*t)++;
        *out_ms = 0;
        return 0;
    }
    int sign = **t == '+' ? 1 : **t == '-' ? -1 : 0;
    if (sign == 0)
        return -1;
    (*t)++;
    int hour = digits(t, 2);
    if (hour < 0 || hour > 23 || *(*t)++ != ':')
        return -1;
    int minute = digits(t, 2);
    if (minute < 0 || minute > 59)
        return -1;
    *out_ms = sign * (hour * 60 + minute) * (int64_t)60000;
    return 0;
}

int clock_parse(const char *text, int64_t *out_wall_ms)
{
    int64_t days, time_ms, zone_ms;
    const char *t = text;
    if (parse_date(&t, &days) != 0 || (*t != 'T' && *t != 't' && *t != ' '))
        return -1;
    t++;
    if (parse_time(&t, &time_ms) != 0 || parse_zone(&t, &zone_ms) != 0 || *t != '\0')
        return -1;
    *out_wall_ms = days * 86400000 + time_ms - zone_ms;
    return 0;
}
